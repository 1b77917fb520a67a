// A heat map of rows and columns: one canvas pixel a cell, a cursor for the mouse and for the arrow keys.
const Grid = (() => {
  // color(r, c) -> [r, g, b] or null; onMove(r, c) with null, null on leaving; onPick(r, c).
  function make({ rows, columns, color, label, cell = 26, least = 14, onMove, onPick }) {
    const canvas = Dom.el("canvas", { width: columns, height: rows, "aria-hidden": "true" });
    const cursor = Dom.el("div", { class: "cursor", hidden: true });
    const marks = Dom.el("div", { class: "marks" });
    const element = Dom.el("div", { class: "grid", tabindex: "0", role: "application", "aria-label": label }, canvas, marks, cursor);
    element.style.maxWidth = `${Math.max(columns * cell, 24)}px`;
    element.style.aspectRatio = `${Math.max(columns * cell, 24)} / ${Math.max(least, rows * cell)}`;
    element.style.minHeight = `${least}px`;
    let at = null;

    function draw() {
      const pen = canvas.getContext("2d");
      const image = pen.createImageData(columns, rows);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          const found = color(r, c);
          if (found) image.data.set([...found, 255], 4 * (r * columns + c));
        }
      }
      pen.putImageData(image, 0, 0);
    }

    function place(mark, [r, c, h, w]) {
      mark.style.left = `${(100 * c) / columns}%`;
      mark.style.top = `${(100 * r) / rows}%`;
      mark.style.width = `${(100 * w) / columns}%`;
      mark.style.height = `${(100 * h) / rows}%`;
    }

    function move(r, c) {
      at = r === null ? null : [r, c];
      cursor.hidden = at === null;
      if (at) place(cursor, [r, c, 1, 1]);
      onMove(r, c);
    }

    // Outline rows and columns: [{row | column, from, to}].
    function mark(areas) {
      marks.replaceChildren(...areas.map((area) => {
        const strip = Dom.el("div", { class: `mark ${area.kind || ""}` });
        place(strip, area.cells);
        return strip;
      }));
    }

    const cellOf = (event) => {
      const box = canvas.getBoundingClientRect();
      const r = Math.floor(((event.clientY - box.top) / box.height) * rows);
      const c = Math.floor(((event.clientX - box.left) / box.width) * columns);
      return [Math.max(0, Math.min(rows - 1, r)), Math.max(0, Math.min(columns - 1, c))];
    };
    listen(element, { rows, columns, cellOf, move, at: () => at, onPick });
    draw();
    return { element, draw, mark };
  }

  const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  function listen(element, { rows, columns, cellOf, move, at, onPick }) {
    element.addEventListener("pointermove", (event) => {
      const [r, c] = cellOf(event);
      const now = at();
      if (!now || now[0] !== r || now[1] !== c) move(r, c);
    });
    element.addEventListener("pointerleave", () => move(null, null));
    element.addEventListener("blur", () => { if (at()) move(null, null); });
    element.addEventListener("click", (event) => { if (onPick) onPick(...cellOf(event)); });
    element.addEventListener("keydown", (event) => {
      const now = at();
      if (event.key in MOVES) {
        const [dr, dc] = MOVES[event.key];
        const [r, c] = now ? [now[0] + dr, now[1] + dc] : [rows - 1, 0];
        move(Math.max(0, Math.min(rows - 1, r)), Math.max(0, Math.min(columns - 1, c)));
      } else if (event.key === "Enter" && now && onPick) onPick(...now);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  return { make };
})();
