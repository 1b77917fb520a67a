// The payload with its indices: who uses a node, which edges pass a gradient into it. Nothing here changes later.
const Model = (() => {
  function of(payload) {
    const { nodes, edges } = payload;
    const order = new Int32Array(nodes.length); // the step at which a node is computed; 0: it is given
    const ops = [];
    const users = nodes.map(() => []);
    nodes.forEach((node, i) => {
      if (node.op !== null) { ops.push(i); order[i] = ops.length; }
      for (const p of node.parents) if (users[p][users[p].length - 1] !== i) users[p].push(i);
    });
    const edgesInto = nodes.map(() => []);
    const edgesFrom = nodes.map(() => []);
    edges.forEach((edge, e) => { edgesInto[edge.parent].push(e); edgesFrom[edge.child].push(e); });
    const loss = payload.loss;
    const backward = edges.length > 0 || nodes[loss].grad !== null;
    const boxless = { payload, nodes, edges, ops, order, users, edgesInto, edgesFrom, loss, backward };
    return { ...boxless, flows: payload.flows || [], shares: payload.shares || {}, ...readers(boxless) };
  }

  function readers({ nodes, edges }) {
    const symbol = (i) => nodes[i].symbol || nodes[i].op || nodes[i].kind;
    const constant = (i) => (nodes[i].op === null && nodes[i].shape.length === 0 ? Format.number(nodes[i].value, 4) : symbol(i));
    return {
      symbol,
      name: (i) => nodes[i].name || (nodes[i].op ? `${symbol(i)} #${i}` : constant(i)),
      place(i) {
        const { step, lane } = nodes[i];
        return [lane, step >= 0 ? `t=${step}` : ""].filter(Boolean).join(", ");
      },
      upstream: (e) => (edges[e].upstream === undefined ? nodes[edges[e].child].grad : edges[e].upstream),
      sum: (e) => (edges[e].sum === undefined || edges[e].sum === null ? edges[e].downstream : edges[e].sum),
    };
  }

  // All nodes that lie on a way from `from` (earlier) to `to` (later), both included.
  function between(model, from, to) {
    const reached = new Set([from]);
    for (let i = from + 1; i <= to; i++) if (model.nodes[i].parents.some((p) => reached.has(p))) reached.add(i);
    const on = new Set(reached.has(to) ? [to] : []);
    for (let i = to; i > from; i--) if (on.has(i)) for (const p of model.nodes[i].parents) if (reached.has(p)) on.add(p);
    return on;
  }

  // The entries of an array, row by row; null where the page holds only their summary.
  function entries(a) {
    if (a === null || a === undefined) return null;
    if (!Format.isArray(a)) return [Number(a)];
    if (a.list) return a.list.map(Number);
    if (!a.f32) return null;
    const bytes = Uint8Array.from(atob(a.f32), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  }

  return { of, between, entries };
})();
