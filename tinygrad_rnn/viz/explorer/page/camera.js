// Zoom and pan: one transform on the group that holds the graph.
const Camera = (() => {
  const MOST = 4;
  const READABLE = 3.4; // pixels: a smaller line of text is left out, which also makes a large graph quick to paint
  const LINE = 9; // points: the small type of the drawings
  const MOVE = 180; // milliseconds
  const FOOT = 44; // pixels at the bottom, where the legend stands
  const DRAG = 4; // pixels until a press becomes a drag
  const HIDDEN = 40; // pixels: a smaller stage is not on show yet, as in a notebook that lays its frames out later

  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  function make(stage, group) {
    let at = { x: 0, y: 0, k: 1 };
    let bounds = { x: 0, y: 0, w: 1, h: 1 };
    let running = 0;
    let moved = false; // whether the graph was moved since it was opened on a stage that is on show
    let openedIn = { w: 0, h: 0 };
    const listeners = [];
    const paint = Dom.perFrame(() => {
      group.setAttribute("transform", `translate(${at.x.toFixed(2)} ${at.y.toFixed(2)}) scale(${at.k.toFixed(5)})`);
      stage.classList.toggle("far", at.k * LINE < READABLE);
      for (const listener of listeners) listener();
    });
    const size = () => ({ w: stage.clientWidth || 1, h: stage.clientHeight || 1 });
    const least = () => Math.min(1, 0.5 * wholeScale());
    const wholeScale = () => Math.min(size().w / bounds.w, (size().h - FOOT) / bounds.h);

    function put(x, y, k) { running += 1; moved = true; at = { x, y, k }; paint(); }

    function glide(x, y, k) {
      moved = true;
      if (still()) { put(x, y, k); return; }
      const [from, mine, begun] = [at, ++running, performance.now()];
      const frame = (now) => {
        if (mine !== running) return;
        const part = Math.min(1, Math.max(0, (now - begun) / MOVE));
        const eased = 1 - (1 - part) ** 3;
        at = { x: from.x + (x - from.x) * eased, y: from.y + (y - from.y) * eased, k: from.k + (k - from.k) * eased };
        paint();
        if (part < 1) requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    }

    function zoomAt(factor, px = size().w / 2, py = size().h / 2) {
      const k = Math.max(least(), Math.min(MOST, at.k * factor));
      put(px - ((px - at.x) * k) / at.k, py - ((py - at.y) * k) / at.k, k);
    }

    function frame(area, k, move) {
      const { w, h } = size();
      move(w / 2 - (area.x + area.w / 2) * k, (h - FOOT) / 2 - (area.y + area.h / 2) * k, k);
    }

    const camera = {
      zoomAt,
      at: () => ({ ...at }),
      // What the stage shows, in the drawing's coordinates.
      area: () => ({ x: -at.x / at.k, y: -at.y / at.k, w: size().w / at.k, h: size().h / at.k }),
      pan: (dx, dy) => put(at.x + dx, at.y + dy, at.k),
      // The whole graph, however small that makes it.
      whole: (gently = true) => frame(bounds, Math.min(1.4, wholeScale()), gently ? glide : put),
      // A new graph: whole if it can be read so, else at its beginning.
      open(area) {
        bounds = area;
        openedIn = size();
        const k = Math.min(1.4, wholeScale());
        const { h } = openedIn;
        const legible = Math.max((1.7 * READABLE) / LINE, Math.min(1, h / bounds.h));
        if (k * LINE >= 1.25 * READABLE) frame(bounds, k, put);
        else put(12 - bounds.x * legible, Math.min(h / 2 - (bounds.y + bounds.h / 2) * legible, h), legible);
        moved = false;
      },
      // The stage has another size: open again what nobody has moved, or nobody could see. Returns whether it did.
      resized() {
        const { w, h } = size();
        if (Math.min(w, h) < HIDDEN || (w === openedIn.w && h === openedIn.h)) return false;
        if (moved && Math.min(openedIn.w, openedIn.h) >= HIDDEN) return false;
        camera.open(bounds);
        return true;
      },
      // Bring a box into view, if it is not, without zooming further out.
      show(box) {
        const { w, h } = size();
        const [left, top] = [at.x + box.x * at.k, at.y + box.y * at.k];
        const [right, bottom] = [left + box.w * at.k, top + box.h * at.k];
        if (left >= 8 && top >= 8 && right <= w - 8 && bottom <= h - 8) return;
        // Sideways a good piece at once, since the next step goes on there; up and down no more than needed.
        const away = (low, high, length, margin) => (low < 8 ? margin - low : high > length - 8 ? length - margin - high : 0);
        glide(at.x + away(left, right, w, 0.35 * w), at.y + away(top, bottom, h, Math.min(60, 0.15 * h)), at.k);
      },
      center: (box) => frame(box, Math.max(at.k, 0.8), glide),
      readable: () => at.k * LINE >= READABLE,
      onMove: (listener) => listeners.push(listener),
    };
    listenToMouse(stage, camera);
    return camera;
  }

  function listenToMouse(stage, camera) {
    const pointers = new Map();
    let dragged = 0;
    const local = (event) => {
      const box = stage.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.shiftKey) { camera.pan(-event.deltaY - event.deltaX, 0); return; }
      const unit = event.deltaMode === 1 ? 16 : 1;
      camera.zoomAt(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * unit)) * 0.0018), ...local(event));
    }, { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      pointers.set(event.pointerId, local(event));
      dragged = 0;
    });
    stage.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = local(event);
      pointers.set(event.pointerId, now);
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
      if (others.length) { pinch(camera, before, now, others[0]); return; }
      dragged += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      if (dragged < DRAG) return;
      if (!stage.hasPointerCapture(event.pointerId)) { stage.setPointerCapture(event.pointerId); stage.classList.add("dragging"); }
      camera.pan(now[0] - before[0], now[1] - before[1]);
    });
    for (const type of ["pointerup", "pointercancel"]) {
      stage.addEventListener(type, (event) => { pointers.delete(event.pointerId); stage.classList.remove("dragging"); });
    }
    stage.addEventListener("click", (event) => { if (dragged >= DRAG) event.stopImmediatePropagation(); }, true);
  }

  function pinch(camera, before, now, other) {
    const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
    camera.zoomAt(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  }

  return { make, still };
})();
