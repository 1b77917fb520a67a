// Slider, buttons, playing, tabs.
const Controls = (() => {
  function make(model, store) {
    const end = Stepper.length(model);
    const slider = Dom.byId("slider");
    slider.max = end;
    const go = (position) => store.set({ position: Stepper.clamp(model, position) });
    const step = (by) => { store.set({ playing: false }); go(store.get().position + by); };
    const jump = (to) => { store.set({ playing: false }); go(to); };
    let timer = null;

    function halves() {
      const forward = model.ops.length;
      const place = Dom.byId("halves");
      const part = (kind, text, length) => {
        const half = Dom.el("span", { class: kind }, text);
        half.style.flexGrow = String(Math.max(length, 0.28 * end));
        return half;
      };
      place.append(part("forward", `forward · ${Format.count(forward, "operation")}`, forward));
      if (model.backward) place.append(part("backward", `backward · ${Format.count(model.edges.length, "edge")}`, end - forward));
      slider.style.setProperty("--half", end ? `${(100 * forward) / end}%` : "100%");
    }

    function play() {
      clearInterval(timer);
      const { playing, speed } = store.get();
      const button = Dom.byId("play");
      button.classList.toggle("playing", playing);
      button.setAttribute("aria-label", playing ? "Pause" : "Play");
      if (!playing) return;
      timer = setInterval(() => {
        const { position } = store.get();
        if (position >= end) store.set({ playing: false });
        else go(position + 1);
      }, 1000 / speed);
    }

    function toggle() {
      const { playing, position } = store.get();
      if (!playing && position >= end) go(0);
      store.set({ playing: !playing });
    }

    function show() {
      const { position } = store.get();
      const now = Stepper.at(model, position);
      slider.value = position;
      slider.setAttribute("aria-valuetext", now.number ? `${now.phase} ${now.number} of ${now.of}` : now.phase);
      for (const id of ["first", "back"]) Dom.byId(id).disabled = position === 0;
      for (const id of ["next", "last"]) Dom.byId(id).disabled = position === end;
    }

    halves();
    slider.addEventListener("input", () => jump(Number(slider.value)));
    for (const [id, action] of Object.entries({ first: () => jump(0), back: () => step(-1), play: toggle, next: () => step(1), last: () => jump(end) })) {
      Dom.byId(id).addEventListener("click", action);
    }
    Dom.byId("speed").addEventListener("change", (event) => store.set({ speed: Number(event.target.value) }));
    return { show, play, step, jump, toggle, end };
  }

  function tabs(model, store) {
    const place = Dom.byId("tabs");
    const buttons = model.payload.views.map((view) => Dom.el("button", { type: "button", role: "tab", id: `tab-${view.key}`, "aria-controls": "graph", data: { view: view.key }, title: view.title }, view.title));
    place.append(...buttons);
    place.hidden = buttons.length < 2;
    const open = (k) => { if (buttons[k]) store.set({ view: buttons[k].dataset.view }); };
    place.addEventListener("click", (event) => { const k = buttons.indexOf(event.target.closest("button")); if (k >= 0) open(k); });
    place.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      const k = (buttons.findIndex((button) => button.dataset.view === store.get().view) + by + buttons.length) % buttons.length;
      open(k);
      buttons[k].focus();
    });
    const show = () => buttons.forEach((button) => {
      const chosen = button.dataset.view === store.get().view;
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    });
    return { show, open };
  }

  return { make, tabs };
})();
