// Boxes and lines as far as the sweep has come: plain before, then colored by the gradient that has arrived.
const Paint = (() => {
  function make(model, graphView) {
    const norms = model.nodes.map((node) => Format.magnitude(node.grad));
    const scale = Colors.scaleOf(norms.filter((x) => x !== null));
    const passing = model.edges.map((edge) => Format.magnitude(edge.downstream));

    // The largest cotangent that these edges have handed on; null before the first of them.
    function handedOn(edges, position) {
      let largest = null;
      for (const e of edges) {
        if (Stepper.edgeTaken(model, e, position) && !(passing[e] <= largest && largest !== null)) largest = passing[e];
      }
      return largest;
    }

    // A second box of one node (a ghost) shows only the gradient of its own uses.
    const isGhost = (box) => (box.kind === "ghost" || box.kind === "state") && box.out.length > 0;
    const known = new Map();
    function ownEdges(box) {
      if (!known.has(box)) known.set(box, box.out.flatMap((line) => line.edges));
      return known.get(box);
    }

    function arrived(box, position) {
      if (isGhost(box)) {
        const edges = ownEdges(box);
        const taken = edges.filter((e) => Stepper.edgeTaken(model, e, position)).length;
        return { size: handedOn(edges, position), whole: taken === edges.length && taken > 0 };
      }
      let [size, whole] = [null, true];
      for (const i of box.members) {
        const found = Stepper.gradient(model, i, position);
        if (found.state === "complete" || found.uses > 0 || i === model.loss) whole = whole && found.state === "complete";
        const here = found.state === "complete" ? norms[i] : Format.magnitude(found.value);
        if (here !== null && (size === null || !(here <= size))) size = here;
      }
      return { size, whole: whole && size !== null };
    }

    function boxStatus(box, position) {
      if (!box.members.length) return "";
      const steps = box.members.map((i) => model.order[i]);
      const begun = steps.some((step) => step <= position);
      const done = steps.every((step) => step <= position);
      const { size, whole } = arrived(box, position);
      const color = Colors.level(scale, size);
      return [begun ? (done ? "" : "begun") : "later", color || "plain", color ? (whole ? "whole" : "partial") : ""].filter(Boolean).join(" ");
    }

    function lineStatus(line, position) {
      const own = passingLine(line, position);
      const later = line.head.members.length && line.head.members.every((i) => model.order[i] > position);
      return [later ? "later" : "", Colors.level(scale, own) || "plain"].filter(Boolean).join(" ");
    }

    // A line between two boxes of one node (a state and its ghost, two links of a chain) shows what passes its head.
    function passingLine(line, position) {
      if (line.edges.length) return handedOn(line.edges, position);
      const { head, tail } = line;
      if (!tail.members.length || !head.members.includes(tail.members[0])) return null;
      return isGhost(head) ? handedOn(ownEdges(head), position) : arrived(head, position).size;
    }

    function put(thing, status) {
      if (thing.status === status) return;
      thing.status = status;
      dress(thing);
    }

    function progress(position) {
      const drawing = graphView.drawing();
      if (!drawing) return;
      for (const box of drawing.boxes.values()) put(box, boxStatus(box, position));
      for (const line of drawing.lines) put(line, lineStatus(line, position));
    }

    return { progress, scale, isGhost, ownEdges };
  }

  const dress = (thing) => thing.group.setAttribute("class", `${thing.base} ${thing.status} ${thing.light}`.trim());

  return { make, dress };
})();
