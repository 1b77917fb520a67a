// What lights up: the uses of a weight with their shares, a state's reach back in time, a cell's loss and state,
// and the edge of the current step.
const Highlight = (() => {
  const USABLE = 1e-3; // a gradient that has shrunk further is said to have faded

  // {lit: Map node -> class, badges: Map node -> text, uses: share entries} for what the reader looks at; pure.
  function wanted(model, state) {
    const lit = new Map();
    const badges = new Map();
    if (state.cell) return { ...ofCell(model, state.cell), uses: null };
    const node = state.hovered !== null ? state.hovered : state.selected;
    if (node === null) return { lit, badges, uses: null };
    lit.set(node, "chosen");
    const shares = model.shares[node];
    if (shares) {
      for (const i of model.users[node]) lit.set(i, "use");
      return { lit, badges, uses: { node, shares } };
    }
    const back = reach(model, node);
    if (back && back.steps.length) {
      for (const step of back.steps) { lit.set(step.node, step.ratio >= USABLE ? "reached" : "faded"); badges.set(step.node, short(step.ratio)); }
      lit.set(node, "chosen");
      return { lit, badges, uses: null };
    }
    for (const i of [...model.nodes[node].parents, ...model.users[node]]) lit.set(i, "near");
    return { lit, badges, uses: null };
  }

  const short = (ratio) => (ratio >= 0.01 ? `×${Format.number(ratio, 2)}` : `×${Format.number(ratio, 1)}`);

  function ofCell(model, { flow, row, column }) {
    const { nodes, lossNodes } = model.flows[flow];
    const lit = new Map();
    const [from, to] = [nodes[column], lossNodes[row]]; // null where the graph does not hold it
    if (from !== null && to !== null) for (const i of Model.between(model, from, to)) lit.set(i, "way");
    if (to !== null) lit.set(to, "loss");
    if (from !== null) lit.set(from, "chosen");
    return { lit, badges: new Map() };
  }

  // How much of the gradient that passes state h_k still arrives at each earlier one:
  // ||dL_t/dh_j|| / ||dL_t/dh_k|| with t the first loss from k on. Null for what is no state.
  function reach(model, node) {
    for (const [flow, { nodes, steps, losses, norms }] of model.flows.entries()) {
      const column = nodes.indexOf(node);
      if (column < 0) continue;
      const row = losses.findIndex((t, r) => norms[r][column] !== null && Number(norms[r][column]) > 0);
      if (row < 0) return { flow, column, row: -1, steps: [], usable: 0 };
      const here = Number(norms[row][column]);
      const found = [];
      for (let c = 0; c < column; c++) {
        if (norms[row][c] !== null && nodes[c] !== null) found.push({ node: nodes[c], step: steps[c], ratio: Number(norms[row][c]) / here });
      }
      let usable = 0;
      for (const { step, ratio } of found) if (ratio >= USABLE) usable = Math.max(usable, steps[column] - step);
      return { flow, column, row, steps: found, usable };
    }
    return null;
  }

  function make(model, store, graphView, paint) {
    let worn = [];

    function wear(thing, light) {
      if (thing.light === light) return;
      thing.light = light;
      Paint.dress(thing);
      worn.push(thing);
    }

    function show() {
      const drawing = graphView.drawing();
      if (!drawing) return;
      const { lit, badges, uses } = wanted(model, store.get());
      const lights = new Map();
      const texts = new Map();
      const add = (thing, light) => { if (thing) lights.set(thing, `${lights.get(thing) || ""} ${light}`.trim()); };
      for (const [i, light] of lit) {
        for (const box of drawing.boxesOf[i]) if (light !== "use" || !box.members.includes(uses.node)) add(box, `lit ${light}`);
      }
      for (const [i, text] of badges) for (const box of drawing.boxesOf[i].slice(0, 1)) texts.set(box, text);
      if (uses) shareBadges(drawing, uses, texts, add);
      lightLines(drawing, lit, uses, add);
      nowLights(drawing, add);
      for (const thing of worn) if (!lights.has(thing)) { thing.light = ""; Paint.dress(thing); }
      worn = worn.filter((thing) => lights.has(thing));
      for (const [thing, light] of lights) wear(thing, light);
      worn = [...lights.keys()];
      drawing.root.classList.toggle("focusing", lit.size > 0);
      putBadges(drawing, texts);
    }

    // The share of each time step stands at the ghost through which it flows, else at the user's box.
    function shareBadges(drawing, { node, shares }, texts, add) {
      const ghosts = drawing.boxesOf[node].filter((box) => paint.isGhost(box));
      const ofEdge = new Map();
      shares.forEach((share) => { for (const e of share.edges) ofEdge.set(e, share); });
      const shown = new Map();
      const note = (box, share) => { if (!shown.has(box)) shown.set(box, new Set()); shown.get(box).add(share); };
      for (const box of ghosts) for (const e of paint.ownEdges(box)) if (ofEdge.has(e)) note(box, ofEdge.get(e));
      const covered = new Set([...shown.values()].flatMap((set) => [...set]));
      for (const share of shares) {
        if (covered.has(share)) continue;
        for (const e of share.edges.slice(0, 1)) for (const box of (drawing.boxesOf[model.edges[e].child] || []).slice(0, 1)) note(box, share);
      }
      for (const [box, set] of shown) {
        const parts = [...set].map((share) => Number(share.part));
        texts.set(box, set.size === 1 ? Format.percent(parts[0]) : `${set.size} uses, ${Format.percent(parts.reduce((a, b) => a + b, 0))}`);
        add(box, "lit use");
      }
    }

    function lightLines(drawing, lit, uses, add) {
      if (!lit.size) return;
      for (const line of drawing.lines) {
        const ends = (box) => box.members.some((i) => lit.has(i));
        const shared = uses && line.tail.members.includes(uses.node);
        if (shared || (!uses && line.tail.members.length < 9 && ends(line.tail) && ends(line.head))) add(line, "lit");
      }
    }

    function nowLights(drawing, add) {
      const now = Stepper.at(model, store.get().position);
      if (now.node !== undefined) for (const box of drawing.boxesOf[now.node].slice(0, 1)) add(box, "now");
      if (now.edge === undefined) return;
      const line = drawing.lineOf[now.edge];
      const { child, parent } = model.edges[now.edge];
      add(line ? line.head : drawing.boxesOf[child][0], "now from");
      const tail = line ? line.tail : drawing.boxesOf[parent][0];
      if (!line || tail !== line.head) add(tail, "now to");
      add(line, "now");
    }

    function putBadges(drawing, texts) {
      const badges = [...texts].map(([box, text]) => {
        const { x, y, w } = box.bounds;
        const width = 7 + 4.9 * text.length;
        const left = x + w - width / 2;
        return Dom.svg("g", { class: "badge", "data-of": box.id },
          Dom.svg("rect", { x: left, y: y - 8, width, height: 13, rx: 6.5 }),
          Dom.svg("text", { x: left + width / 2, y: y + 1.6, "text-anchor": "middle" }, text));
      });
      drawing.badges.replaceChildren(...badges);
    }

    return { show };
  }

  return { wanted, reach, make, USABLE };
})();
