// Everything about one node: value and gradient, the gradient use by use, what it is made from, its scalar graph.
const Details = (() => {
  const FEW = 8; // rows of a list until "show all"

  function make(model, store) {
    const place = Dom.byId("details");
    const L = model.name(model.loss);
    let all = null; // the node whose long lists are open

    const heading = (text) => Dom.el("h3", {}, text);
    const link = (i, key, text = model.name(i)) => Dom.el("button", { type: "button", class: "link", data: { node: i, key } }, text);
    const toEdge = (e, text) => Dom.el("button", { type: "button", class: "link", data: { position: Stepper.ofEdge(model, e), key: `edge${e}` }, title: "Go to this step" }, text);

    function head(i) {
      const { op, kind, shape, dtype, formula, scope } = model.nodes[i];
      const what = op ? `${op}${formula ? `, ${formula}` : ""}` : kind;
      const facts = [what, scope.join(" › "), shape.length ? `(${shape.join(", ")})` : "", dtype].filter(Boolean);
      return [Dom.el("h2", {}, model.name(i)), Dom.el("p", { class: "muted facts" }, facts.join(" · ")), members(i), reach(i)];
    }

    // A box that stands for several nodes: choose one of them.
    function members(i) {
      const { members: list } = store.get();
      if (!list || !list.includes(i)) return null;
      const options = list.slice(0, 1000).map((m) => Dom.el("option", { value: m, selected: m === i }, [model.name(m), model.place(m)].filter(Boolean).join(" · ")));
      return Dom.el("label", { class: "members" }, `one of ${list.length} in this box `, Dom.el("select", { data: { members: "1", key: "members" } }, options));
    }

    function reach(i) {
      const back = Highlight.reach(model, i);
      if (!back || !back.steps.length) return null;
      return Dom.el("p", { class: "reach" }, "A gradient here reaches ", Dom.el("b", { data: { reach: back.usable } }, `${back.usable} step${back.usable === 1 ? "" : "s"} back`),
        ` in time before it fades below ${Highlight.USABLE} of its size.`);
    }

    function value(i, position) {
      const { value: a } = model.nodes[i];
      if (!Stepper.computed(model, i, position)) return [heading("Value"), Dom.el("p", { class: "muted" }, "not computed yet")];
      return [heading("Value"), shown(a, model.name(i), "value")];
    }

    const shown = (a, what, kind) => (Format.isArray(a)
      ? Dom.el("div", { data: { kind } }, Arrays.figure(a, what))
      : Dom.el("p", { class: "large tabular", data: { kind } }, Format.quantity(a)));

    function gradient(i, position) {
      const name = `∂${L}/∂${model.name(i)}`;
      const { state, value: a, taken, uses } = Stepper.gradient(model, i, position);
      if (model.nodes[i].grad === null && !uses) return [heading(name), Dom.el("p", { class: "muted" }, model.backward ? "no gradient flows here" : "this graph has no gradients")];
      if (state === "none") return [heading(name), Dom.el("p", { class: "muted" }, "the backward sweep has not come here yet")];
      const note = state === "partial" ? Dom.el("p", { class: "muted" }, `after ${taken} of ${uses} uses`) : null;
      return [heading(name), note, shown(a, name, "grad")];
    }

    function shares(i) {
      const list = model.shares[i];
      if (!list) return null;
      const largest = Math.max(...list.map((share) => Math.abs(Number(share.part)) || 0), 1e-300);
      const mixed = list.some((share) => Number(share.part) < 0);
      const bars = list.map((share) => {
        const part = Number(share.part);
        const bar = Dom.el("i", { class: part < 0 ? "minus" : "plus" });
        bar.style.height = `${((mixed ? 50 : 100) * Math.abs(part || 0)) / largest}%`;
        return Dom.el("span", { class: "bar", data: { part: String(share.part), step: share.step }, title: `t=${share.step}: ${Format.percent(part)}, norm ${share.norm}` }, bar);
      });
      const total = list.reduce((sum, share) => sum + Number(share.part), 0);
      const ends = Dom.el("p", { class: "axis" }, label(list[0]), Dom.el("span", { data: { total: String(total) } }, `together ${Format.percent(total)}`), label(list[list.length - 1]));
      return [heading("Share of each time step"), Dom.el("div", { class: mixed ? "bars mixed" : "bars", role: "img", "aria-label": sharesSpoken(list) }, bars), ends];
    }

    const label = (share) => (share.step >= 0 ? `t=${share.step}` : "outside");
    const sharesSpoken = (list) => `Shares: ${list.slice(0, 40).map((share) => `${label(share)} ${Format.percent(share.part)}`).join(", ")}`;

    function clipped(i, rows, columns) {
      if (rows.length <= FEW + 2 || all === i) return rows.map((row) => row());
      const more = Dom.el("button", { type: "button", class: "link", data: { all: i, key: "all" } }, `show all ${rows.length}`);
      return [...rows.slice(0, FEW).map((row) => row()), columns ? Dom.el("tr", {}, Dom.el("td", { colspan: columns }, more)) : Dom.el("li", {}, more)];
    }

    // One row for each use: local derivative, upstream, downstream.
    function uses(i, position) {
      const into = model.edgesInto[i];
      if (!into.length) return null;
      const head = Dom.el("tr", {}, ["used by", "local", "× upstream", "= downstream"].map((text) => Dom.el("th", { scope: "col" }, text)));
      const rows = into.map((e) => () => {
        const { child, local, downstream, rule } = model.edges[e];
        const taken = Stepper.edgeTaken(model, e, position);
        const cells = taken
          ? [local === null ? Dom.el("span", { class: "rule" }, rule || "–") : Format.quantity(local, "local"), Format.quantity(model.upstream(e), "upstream"), Format.quantity(downstream, "downstream")]
          : ["·", "·", "·"];
        return Dom.el("tr", { class: taken ? "" : "later", data: { edge: e } },
          Dom.el("td", {}, toEdge(e, [model.name(child), model.place(child)].filter(Boolean).join(" · "))), cells.map((cell) => Dom.el("td", {}, cell)));
      });
      return [heading(into.length === 1 ? "The gradient, from its one use" : `The gradient, a sum of ${into.length} uses`), Dom.el("table", { class: "uses tabular" }, Dom.el("thead", {}, head), Dom.el("tbody", {}, clipped(i, rows, 4)))];
    }

    function inputs(i, position) {
      const { parents } = model.nodes[i];
      if (!parents.length) return null;
      const rows = parents.map((p, k) => () => Dom.el("li", {}, link(p, `in${k}`), " ", Stepper.computed(model, p, position) ? Format.quantity(model.nodes[p].value) : ""));
      return [heading("Made from"), Dom.el("ul", { class: "plainlist tabular" }, clipped(i, rows, 0))];
    }

    function scalar(i, position) {
      if (!Stepper.computed(model, i, position)) return null;
      const picture = Scalar.show(model, i, Stepper.gradient(model, i, position).state === "complete");
      return picture ? [heading("In single numbers"), Dom.el("div", { class: "scalarbox", tabindex: "0", data: { kind: "scalar" } }, picture)] : null;
    }

    const show = Dom.perFrame(() => {
      const state = store.get();
      const i = Store.focus(model, state);
      const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
      place.dataset.node = i === null ? "" : i;
      const parts = i === null
        ? [Dom.el("h2", {}, "Choose a node"), Dom.el("p", { class: "muted" }, "Hover or click a box, or press j and k to walk through the nodes.")]
        : [head(i), value(i, state.position), gradient(i, state.position), shares(i), uses(i, state.position), scalar(i, state.position), inputs(i, state.position)];
      place.replaceChildren(...parts.flat(2).filter(Boolean));
      if (key) { const again = place.querySelector(`[data-key="${key}"]`); if (again) again.focus({ preventScroll: true }); }
    });

    place.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { node, position, all: whole } = button.dataset;
      if (node !== undefined) store.set({ selected: Number(node), members: null });
      if (position !== undefined) store.set({ position: Number(position) });
      if (whole !== undefined) { all = Number(whole); show(); }
    });
    place.addEventListener("change", (event) => {
      if (event.target.dataset.members) store.set({ selected: Number(event.target.value) });
    });
    return { show };
  }

  return { make };
})();
