// The heat map of ||dL_t/dh_k||: one row for each loss, one column for each state; linked to the graph both ways.
const FlowMap = (() => {
  function make(model, store) {
    const place = Dom.byId("flow");
    if (!model.flows.length) return { show() {}, redraw() {} };
    place.hidden = false;
    const title = Dom.el("h2", { id: "flowtitle" });
    const choices = Dom.el("select", { "aria-label": "Which state" }, model.flows.map(({ state }, f) => Dom.el("option", { value: f }, state)));
    const holder = Dom.el("div", { class: "map" });
    const readout = Dom.el("p", { class: "readout tabular", id: "flowreadout", "aria-live": "polite" });
    const key = Dom.el("p", { class: "scale" });
    place.append(Dom.el("div", { class: "cardhead" }, title, choices), holder, readout, key);
    let [flow, grid, shown] = [0, null, ""];

    const part = (state) => state.split(": ").pop(); // "h" of "layer 0: h"
    const values = (f) => f.norms.map((row) => row.map((x) => (x === null ? null : Number(x))));

    function build(which) {
      flow = which;
      choices.value = String(flow);
      const { norms, losses, steps, state } = model.flows[flow];
      const numbers = values({ norms });
      const scale = Colors.scaleOf(numbers.flat().filter((x) => x !== null));
      let colors = Colors.table();
      title.replaceChildren("Where the gradient goes: ", Dom.el("span", { class: "math" }, `‖∂L`, Dom.el("sub", {}, "t"), `/∂${part(state)}`, Dom.el("sub", {}, "k"), "‖"));
      grid = Grid.make({
        rows: losses.length, columns: steps.length, least: losses.length === 1 ? 34 : 20, cell: Math.min(48, 300 / Math.max(losses.length, steps.length)),
        label: `Norms of the derivative of each loss by each state ${state}; arrow keys move, Enter selects the state`,
        color: (r, c) => (numbers[r][c] === null ? null : colors[Colors.level(scale, numbers[r][c])]),
        onMove: (row, column) => store.set({ cell: row === null || numbers[row][column] === null ? null : { flow, row, column } }),
        onPick: (row, column) => store.set({ selected: model.flows[flow].nodes[column], members: null }),
      });
      grid.redraw = () => { colors = Colors.table(); grid.draw(); };
      holder.style.maxWidth = `calc(1.3rem + ${grid.element.style.maxWidth})`;
      holder.replaceChildren(
        Dom.el("span", { class: "axis down" }, losses.length > 1 ? `t = ${losses[0]} … ${losses[losses.length - 1]}` : `t = ${losses[0]}`),
        grid.element,
        Dom.el("span", { class: "axis" }, steps.length > 4 ? [`k = ${steps[0]}`, Dom.el("span", {}, "state →"), `${steps[steps.length - 1]}`] : `k = ${[steps[0], ...steps.slice(-1)].join(" … ")}`));
      key.replaceChildren(...(Colors.legend(scale, "") || []).slice(1));
      shown = "";
      show();
    }

    // Show the flow that the chosen node is a state of.
    function follow({ selected }) {
      const own = selected === null ? -1 : model.flows.findIndex(({ nodes }) => nodes.includes(selected));
      if (own >= 0 && own !== flow && !model.flows[flow].nodes.includes(selected)) build(own);
    }

    // Outline what the reader looks at: a state's column and, where a loss stands at it, its row.
    function show() {
      const state = store.get();
      const { losses, steps, norms, nodes, lossNodes, state: name, note } = model.flows[flow];
      const node = state.hovered !== null ? state.hovered : state.selected;
      const find = (list) => (node === null ? -1 : list.indexOf(node));
      const column = state.cell ? state.cell.column : find(nodes);
      const row = state.cell ? state.cell.row : find(lossNodes);
      const now = `${row},${column},${Boolean(state.cell)}`;
      if (now === shown) return;
      shown = now;
      const areas = [];
      if (column >= 0) areas.push({ kind: "column", cells: [0, column, losses.length, 1] });
      if (row >= 0) areas.push({ kind: "row", cells: [row, 0, 1, steps.length] });
      grid.mark(areas);
      readout.replaceChildren(...words({ row, column, losses, steps, norms, name, cell: state.cell, node, note }));
    }

    function words({ row, column, losses, steps, norms, name, cell, node, note }) {
      if (cell) {
        const exact = norms[row][column];
        return [`‖∂L_${losses[row]}/∂${part(name)}_${steps[column]}‖ = `, Dom.el("b", { data: { value: String(exact) }, title: String(exact) }, Format.number(exact)),
          `, ${losses[row] - steps[column]} steps back`];
      }
      if (column >= 0) {
        const back = Highlight.reach(model, node);
        return [`${part(name)}_${steps[column]}: its column is marked; `, Dom.el("b", {}, `reaches ${back.usable} steps back`), ` (above ${Highlight.USABLE} of its size)`];
      }
      if (row >= 0) return [`the loss at t=${losses[row]}: its row is marked`];
      return [Dom.el("span", { class: "muted" }, `each row a loss, each column a state; hover a cell to see both in the graph${note ? `; ${note}` : ""}`)];
    }

    const first = Math.max(0, model.flows.findIndex(({ state }) => /\bh$/.test(state)));
    choices.hidden = model.flows.length === 1;
    choices.addEventListener("change", () => { store.set({ cell: null }); build(Number(choices.value)); });
    build(first);
    store.on(["selected"], follow);
    return { show, redraw: () => grid.redraw() };
  }

  return { make };
})();
