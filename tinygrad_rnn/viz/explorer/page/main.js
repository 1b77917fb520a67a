// Put the parts together.
(() => {
  function texts(model) {
    const { title, notices } = model.payload;
    document.title = title ? `${title} · explorer` : "Explorer";
    Dom.byId("title").textContent = title || "Explorer";
    const { name, nodes, edges, loss } = model;
    Dom.byId("summary").replaceChildren(`${Format.count(nodes.length, "node")}, ${Format.count(edges.length, "edge")} · ${name(loss)} = `, Format.quantity(nodes[loss].value));
    const place = Dom.byId("notices");
    place.replaceChildren(...(notices || []).map((notice) => Dom.el("p", {}, notice)));
    place.hidden = !place.children.length;
  }

  function begin(payload) {
    const model = Model.of(payload);
    const store = Store.make({
      position: Stepper.length(model), selected: null, hovered: null, cell: null, members: null,
      view: payload.start || (payload.views[0] || {}).key, playing: false, speed: 2,
    });
    texts(model);
    const shown = {};
    const view = GraphView.make(model, store, () => { shown.paint.progress(store.get().position); shown.highlight.show(); });
    shown.paint = Paint.make(model, view);
    shown.highlight = Highlight.make(model, store, view, shown.paint);
    const narration = Narration.make(model, store);
    const flow = FlowMap.make(model, store);
    const details = Details.make(model, store);
    const controls = Controls.make(model, store);
    const tabs = Controls.tabs(model, store);
    const center = (i, always) => {
      const box = view.boxOf(i);
      if (box) view.camera[always ? "center" : "show"](box.bounds);
    };
    const search = Search.make(model, store, (i) => { store.set({ selected: i, members: null }); center(i, !view.camera.readable()); });
    const theme = Theme.make(() => { flow.redraw(); details.show(); narration.show(); });
    Keyboard.make({ model, store, controls, tabs, search, camera: view.camera, theme, center });
    zoomButtons(view.camera);
    legend(shown.paint.scale);
    const step = Dom.perFrame(() => {
      const { position } = store.get();
      shown.paint.progress(position);
      shown.highlight.show();
      narration.show();
      follow(model, view, position);
    });
    const look = Dom.perFrame(() => { shown.highlight.show(); flow.show(); });
    store.on(["position"], () => { controls.show(); step(); details.show(); });
    store.on(["selected", "hovered", "cell"], () => look());
    store.on(["selected", "hovered", "members"], () => details.show());
    store.on(["playing", "speed"], () => controls.play());
    store.on(["view"], (state) => { tabs.show(); view.open(state.view); });
    tabs.show();
    controls.show();
    narration.show();
    details.show();
    view.open(store.get().view);
    document.documentElement.dataset.ready = "yes";
  }

  // Keep what the step is about in sight.
  function follow(model, view, position) {
    const now = Stepper.at(model, position);
    const drawing = view.drawing();
    if (!drawing || now.phase === "start") return;
    const line = now.edge === undefined ? null : drawing.lineOf[now.edge];
    const box = line ? line.tail : view.boxOf(now.edge === undefined ? now.node : model.edges[now.edge].parent);
    if (box) view.camera.show(box.bounds);
  }

  function zoomButtons(camera) {
    Dom.byId("zoomin").addEventListener("click", () => camera.zoomAt(1.25));
    Dom.byId("zoomout").addEventListener("click", () => camera.zoomAt(0.8));
    Dom.byId("zoomfit").addEventListener("click", () => camera.whole());
  }

  function legend(scale) {
    const parts = Colors.legend(scale, "gradient");
    if (!parts) return;
    Dom.byId("legend").replaceChildren(...parts);
    Dom.byId("legend").hidden = false;
  }

  Payload.read().then(begin);
})();
