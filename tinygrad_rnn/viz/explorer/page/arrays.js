// Arrays as pictures: a heat map with its numbers under the cursor, and a thin strip for the narration.
const Arrays = (() => {
  // Rows and columns to draw an array in: a vector is one row, leading axes are stacked.
  function layout(shape, count) {
    const columns = shape.length ? shape[shape.length - 1] : 1;
    return { rows: columns ? count / columns : 0, columns };
  }

  const index = (shape, flat) => {
    const out = [];
    let rest = flat;
    for (let axis = shape.length - 1; axis >= 0; axis--) { out.unshift(rest % shape[axis]); rest = Math.floor(rest / shape[axis]); }
    return out.join(", ");
  };

  function palette() {
    const [paper, negative, positive] = ["--paper", "--negative", "--positive"].map((name) => Colors.rgb(Colors.css(name)));
    const alarm = Colors.rgb(Colors.css("--alarm"));
    return (x, largest) => (Number.isFinite(x) ? Colors.signed(x, largest, paper, negative, positive) : alarm);
  }

  const largestOf = (entries) => entries.reduce((m, x) => (Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m), 0);

  function summary(a) {
    const item = (name, x) => Dom.el("span", {}, Dom.el("span", { class: "muted" }, name), " ", Dom.el("b", { title: String(x), data: { value: String(x) } }, Format.number(x)));
    return Dom.el("p", { class: "stats tabular" }, item("norm", a.norm), item("min", a.min), item("max", a.max));
  }

  // The heat map of an array; `what` names it, such as "W_hh" or "∂L/∂W_hh".
  function figure(a, what) {
    const entries = Model.entries(a);
    if (!entries || !entries.length) {
      const why = entries ? "It has no entries." : "Too large for this page: only its summary is here.";
      return Dom.el("figure", {}, Dom.el("p", { class: "muted" }, why), entries ? null : summary(a));
    }
    const { rows, columns } = layout(a.shape, entries.length);
    const largest = largestOf(entries);
    const color = palette();
    const readout = Dom.el("p", { class: "readout tabular", "aria-live": "polite" });
    const rest = `blue above zero, red below; full color at ±${Format.number(largest, 3)}`;
    readout.textContent = rest;
    const grid = Grid.make({
      rows, columns, least: 18, cell: Math.max(1, Math.min(26, 320 / columns, 170 / rows)),
      label: `Heat map of ${what}; arrow keys read its entries`,
      color: (r, c) => color(entries[r * columns + c], largest),
      onMove(r, c) {
        const flat = r * columns + c;
        readout.textContent = r === null ? rest : `${what}[${index(a.shape, flat)}] = ${Format.number(entries[flat])}`;
        readout.title = r === null ? "" : String(entries[flat]);
      },
    });
    return Dom.el("figure", { data: { entries: entries.length } }, grid.element, readout, summary(a));
  }

  // A thin strip of a small array, for the line of text; null where there is nothing to see.
  function strip(a) {
    const entries = Format.isArray(a) ? Model.entries(a) : null;
    if (!entries || entries.length < 2 || entries.length > 64) return null;
    const canvas = Dom.el("canvas", { class: "strip", width: entries.length, height: 1, "aria-hidden": "true" });
    const pen = canvas.getContext("2d");
    const [color, largest] = [palette(), largestOf(entries)];
    entries.forEach((x, i) => { pen.fillStyle = `rgb(${color(x, largest).join(",")})`; pen.fillRect(i, 0, 1, 1); });
    return canvas;
  }

  return { figure, strip };
})();
