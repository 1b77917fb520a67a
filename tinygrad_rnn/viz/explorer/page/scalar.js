// The scalar graph inside a small Tensor operation: one drawn pattern for all nodes of a kind, filled with this node's numbers.
const Scalar = (() => {
  function show(model, node, withGradients) {
    const found = (model.payload.scalarOf || {})[node];
    const pattern = found && (model.payload.scalar || [])[found.pattern];
    if (!pattern || !pattern.svg) return null;
    const root = Drawing.parse(pattern.svg);
    if (!root) return null;
    const areas = [];
    for (const group of root.querySelectorAll("g.node")) {
      const id = Drawing.takeTitle(group);
      const shape = group.querySelector("polygon, path, ellipse");
      if (shape) areas.push(Drawing.boundsOf(shape));
      Drawing.markLines(group);
      group.dataset.box = id;
      if (id in pattern.boxes) write(group, withGradients ? found : { values: found.values }, pattern.boxes[id]);
    }
    for (const group of root.querySelectorAll("g.edge, g.cluster")) Drawing.takeTitle(group);
    return picture(root, areas, model.name(node));
  }

  function write(group, { values, grads }, k) {
    const put = (kind, text, exact) => {
      const line = group.querySelector(`text.${kind}`);
      if (!line || exact === null || exact === undefined) return;
      line.textContent = text;
      line.dataset.value = String(exact);
    };
    put("value", Format.number(values[k], 4), values[k]);
    put("gradient", grads && grads[k] !== null && grads[k] !== undefined ? `∂ ${Format.number(grads[k], 4)}` : "", grads ? grads[k] : null);
  }

  function picture(root, areas, name) {
    const left = Math.min(...areas.map((a) => a.x)) - 10;
    const top = Math.min(...areas.map((a) => a.y)) - 10;
    const width = Math.max(...areas.map((a) => a.x + a.w)) - left + 10;
    const height = Math.max(...areas.map((a) => a.y + a.h)) - top + 10;
    const svg = Dom.svg("svg", { class: "picture scalar", viewBox: `${left} ${top} ${width} ${height}`, role: "img", "aria-label": `The scalar graph inside ${name}` }, root);
    svg.style.minWidth = `${0.75 * width}px`; // wider than the card: it scrolls
    svg.style.maxWidth = `${1.25 * width}px`;
    return svg;
  }

  return { show };
})();
