// The stage: it holds one view's drawing at a time, turns the mouse into hovered and selected nodes.
const GraphView = (() => {
  // The text of a view's SVG; large ones are kept compressed until their tab is opened.
  async function textOf(view) {
    if (view.svg) return view.svg;
    return view.svgz ? Payload.unpack(view.svgz) : "";
  }

  function make(model, store, onOpen) {
    const stage = Dom.byId("stage");
    const holder = Dom.svg("g", { class: "camera" });
    const picture = Dom.svg("svg", { class: "picture", role: "img", "aria-label": "The graph; press ? for the keys" }, holder);
    stage.append(picture);
    const camera = Camera.make(stage, holder);
    const drawings = new Map();
    let current = null;

    const cull = () => { if (current) Culling.update(current, camera.area()); };
    camera.onMove(cull);
    new ResizeObserver(() => {
      if (current && camera.resized()) onOpen();
      cull();
    }).observe(stage);

    async function open(key) {
      const view = model.payload.views.find((candidate) => candidate.key === key);
      if (!view) return;
      const text = drawings.has(key) ? "" : await textOf(view).catch(() => "");
      if (store.get().view !== key) return; // another tab was opened meanwhile
      if (!drawings.has(key)) drawings.set(key, text ? Drawing.read(text, view, model) : null);
      current = drawings.get(key);
      if (current && !current.badges) current.badges = current.root.appendChild(Dom.svg("g", { class: "badges" }));
      if (current) { camera.open(current.bounds); cull(); }
      holder.replaceChildren(...(current ? [current.root] : []));
      notice(view, current);
      onOpen();
    }

    function notice(view, drawing) {
      const line = Dom.byId("viewnotice");
      const text = view.notice || (drawing ? "" : "This view was not drawn.");
      line.textContent = text;
      line.hidden = !text;
      line.classList.toggle("empty", !drawing);
    }

    const boxAt = (target) => {
      const group = target.closest ? target.closest("g.node") : null;
      return group && current ? current.boxes.get(group.dataset.box) || null : null;
    };
    listen(stage, boxAt, model, store);
    return { open, camera, drawing: () => current, boxOf: (i) => (current && i !== null && current.boxesOf[i] && current.boxesOf[i][0]) || null };
  }

  // The node that a box stands for; of several, the one nearest before the current step, so that boxes tell of now.
  function memberOf(model, box, position) {
    const { members } = box;
    if (members.length === 0) return null;
    if (members.length === 1) return members[0];
    const now = Stepper.at(model, position);
    if (now.phase === "backward") {
      const { parent, child } = model.edges[now.edge];
      if (members.includes(parent)) return parent;
      if (members.includes(child)) return child;
    }
    return members[members.length - 1];
  }

  function listen(stage, boxAt, model, store) {
    const hover = (node) => store.set({ hovered: node });
    stage.addEventListener("pointerover", (event) => {
      const box = boxAt(event.target);
      hover(box ? memberOf(model, box, store.get().position) : null);
    });
    stage.addEventListener("pointerleave", () => hover(null));
    stage.addEventListener("click", (event) => {
      const box = boxAt(event.target);
      const node = box ? memberOf(model, box, store.get().position) : null;
      store.set({ selected: node, cell: null, members: box && box.members.length > 1 ? box.members : null });
    });
    stage.addEventListener("dblclick", (event) => {
      const box = boxAt(event.target);
      const node = box ? memberOf(model, box, store.get().position) : null;
      if (node !== null && model.order[node]) store.set({ position: Stepper.ofNode(model, node) });
    });
  }

  return { make, memberOf };
})();
