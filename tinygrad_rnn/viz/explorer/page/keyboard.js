// Every function by a key. Fields, the slider and the heat maps keep the keys that are their own.
const Keyboard = (() => {
  const KEYS = [
    ["→  ←", "one step on, one step back (with shift: ten)"],
    ["PageDown  PageUp", "on to the next time step, back to the one before"],
    ["Home  End", "before the first step, after the last"],
    ["b", "where the backward sweep begins"],
    ["space", "play and pause"],
    ["j  k", "next and previous node (chosen)"],
    ["Enter", "go to the step at which the chosen node is computed"],
    ["g", "bring the chosen node, or the current step, into the middle"],
    ["+  −  0", "zoom in, zoom out, whole graph"],
    ["w a s d", "move the graph"],
    ["1 2 3 4", "the views"],
    ["/", "find a node"],
    ["t", "light or dark"],
    ["Esc", "choose nothing"],
    ["Tab", "heat maps, lists and buttons; arrow keys move inside a heat map, Enter selects"],
    ["?", "this list"],
  ];
  const PAN = { w: [0, 60], a: [60, 0], s: [0, -60], d: [-60, 0] };
  const SLIDERS_OWN = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);

  function make({ model, store, controls, tabs, search, camera, theme, center }) {
    const dialog = Dom.byId("keys");
    fill(dialog);
    const help = () => { if (dialog.open) dialog.close(); else { dialog.showModal(); dialog.querySelector("button").focus(); } };
    Dom.byId("help").addEventListener("click", help);

    function walk(by) {
      const { selected } = store.get();
      const from = selected === null ? (by > 0 ? -1 : model.nodes.length) : selected;
      const to = Math.max(0, Math.min(model.nodes.length - 1, from + by));
      store.set({ selected: to, members: null });
      center(to, false);
    }

    const toNode = () => { const { selected } = store.get(); if (selected !== null && model.order[selected]) controls.jump(Stepper.ofNode(model, selected)); };
    const actions = {
      ArrowRight: (event) => controls.step(event.shiftKey ? 10 : 1),
      ArrowLeft: (event) => controls.step(event.shiftKey ? -10 : -1),
      PageDown: () => controls.jump(Stepper.nextTime(model, store.get().position, 1)),
      PageUp: () => controls.jump(Stepper.nextTime(model, store.get().position, -1)),
      Home: () => controls.jump(0),
      End: () => controls.jump(controls.end),
      b: () => controls.jump(Math.min(Stepper.seed(model), controls.end)),
      " ": () => controls.toggle(),
      j: () => walk(1),
      k: () => walk(-1),
      Enter: toNode,
      g: () => center(Store.focus(model, store.get()), true),
      "+": () => camera.zoomAt(1.25),
      "=": () => camera.zoomAt(1.25),
      "-": () => camera.zoomAt(0.8),
      0: () => camera.whole(),
      "/": () => search.open(),
      t: () => theme.toggle(),
      Escape: () => store.set({ selected: null, cell: null, members: null }),
      "?": help,
    };
    for (const [key, [dx, dy]] of Object.entries(PAN)) actions[key] = () => camera.pan(dx, dy);
    for (let k = 1; k <= 9; k++) actions[k] = () => tabs.open(k - 1);

    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const { target, key } = event;
      if (dialog.open && key !== "?") return;
      const within = (selector) => target instanceof Element && target.closest(selector);
      if (within("input[type=search], select")) return;
      if (target.id === "slider" && SLIDERS_OWN.has(key)) return;
      if (within("button") && (key === " " || key === "Enter")) return;
      const action = actions[key];
      if (!action) return;
      event.preventDefault();
      action(event);
    });
  }

  function fill(dialog) {
    const rows = KEYS.map(([keys, what]) => Dom.el("tr", {}, Dom.el("td", {}, keys.split("  ").map((key) => Dom.el("kbd", {}, key))), Dom.el("td", {}, what)));
    const close = Dom.el("button", { type: "button", class: "plainbutton", on: { click: () => dialog.close() } }, "Close");
    dialog.append(Dom.el("h2", { id: "keystitle" }, "Keys"), Dom.el("table", {}, Dom.el("tbody", {}, rows)),
      Dom.el("p", { class: "muted" }, "Mouse: wheel zooms, drag moves, a click chooses, a double click goes to the step of a box."), close);
  }

  return { make };
})();
