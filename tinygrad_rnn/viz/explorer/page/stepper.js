// What has happened at a position of the slider; pure functions of the model and the position.
//
//   0              leaves and constants are given, nothing is computed
//   1 .. F         forward: one operation a step, in topological order
//   F + 1          the seed: dL/dL = 1
//   F + 2 .. end   backward: one edge a step, in the order of the sweep
const Stepper = (() => {
  const seed = (model) => model.ops.length + 1;
  const length = (model) => model.ops.length + (model.backward ? 1 + model.edges.length : 0);
  const ofEdge = (model, e) => seed(model) + 1 + e;
  const ofNode = (model, i) => model.order[i];
  const clamp = (model, position) => Math.max(0, Math.min(length(model), Math.round(position)));

  // What happens at this position: {phase, node | edge, number, of}.
  function at(model, position) {
    const forward = model.ops.length;
    if (position === 0) return { phase: "start", number: 0, of: forward };
    if (position <= forward) return { phase: "forward", node: model.ops[position - 1], number: position, of: forward };
    if (position === seed(model)) return { phase: "seed", node: model.loss, number: 0, of: model.edges.length };
    const edge = position - seed(model) - 1;
    return { phase: "backward", edge, number: edge + 1, of: model.edges.length };
  }

  const computed = (model, i, position) => model.order[i] <= position;

  // How many of the ascending numbers `list` are below `bound`.
  function countBelow(list, bound) {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] < bound) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const edgesTaken = (model, position) => Math.max(0, position - seed(model));

  // The gradient of node i so far: {state: "none" | "partial" | "complete", value, taken, uses}.
  function gradient(model, i, position) {
    const into = model.edgesInto[i];
    const uses = into.length;
    if (i === model.loss && model.backward) {
      const begun = position >= seed(model);
      return { state: begun ? "complete" : "none", value: begun ? model.nodes[i].grad : null, taken: 0, uses };
    }
    const taken = countBelow(into, edgesTaken(model, position));
    if (taken === 0) return { state: "none", value: null, taken, uses };
    if (taken === uses) return { state: "complete", value: model.nodes[i].grad, taken, uses };
    return { state: "partial", value: model.sum(into[taken - 1]), taken, uses };
  }

  // The time step of what happens at a position; -1 outside of all steps.
  function timeAt(model, position) {
    const now = at(model, position);
    const node = now.edge === undefined ? now.node : model.edges[now.edge].child;
    return node === undefined ? -1 : model.nodes[node].step;
  }

  // The next position, on or back, that begins another time step.
  function nextTime(model, position, by) {
    const end = length(model);
    const old = timeAt(model, position);
    let found = position;
    do found += by; while (found > 0 && found < end && (timeAt(model, found) === old || timeAt(model, found) < 0));
    return clamp(model, found);
  }

  const edgeTaken = (model, e, position) => e < edgesTaken(model, position);

  // The running total of the parent before this edge; null where the edge is its first.
  function before(model, e) {
    const into = model.edgesInto[model.edges[e].parent];
    const k = countBelow(into, e);
    return k === 0 ? null : model.sum(into[k - 1]);
  }

  return { seed, length, ofEdge, ofNode, clamp, at, nextTime, computed, gradient, edgeTaken, before };
})();
