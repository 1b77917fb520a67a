// What happens at this step, in one line with the real numbers, and the same as a sentence to be spoken.
const Narration = (() => {
  const INFIX = new Set(["+", "−", "-", "×", "*", "·", "⊙", "/", "÷", "@", "**"]);

  function make(model, store) {
    const place = Dom.byId("narration");
    const spoken = Dom.byId("spoken");
    const L = model.name(model.loss);
    const d = (i) => `∂${L}/∂${model.name(i)}`;
    const where = (i) => (model.place(i) ? ` at ${model.place(i)}` : "");

    const chip = (label, a, kind) => Dom.el("span", { class: `chip ${kind}` },
      Dom.el("span", { class: "label" }, label), Format.quantity(a, kind), Arrays.strip(a));
    const rule = (label, text) => Dom.el("span", { class: "chip local" },
      Dom.el("span", { class: "label" }, label), Dom.el("span", { class: "quantity local rule" }, text));
    const sign = (text) => Dom.el("span", { class: "sign" }, text);
    const node = (i) => Dom.el("button", { type: "button", class: "link", data: { node: i, key: `say${i}` } }, model.name(i));
    const line = (kind, ...parts) => Dom.el("p", { class: kind }, parts);

    function forward({ node: i, number, of }) {
      const { parents, value, formula } = model.nodes[i];
      const symbol = model.symbol(i);
      const shown = parents.slice(0, 5).map((p) => chip(model.name(p), model.nodes[p].value, "given"));
      const more = parents.length > 5 ? [sign(`… ${parents.length - 5} more`)] : [];
      const infix = parents.length === 2 && INFIX.has(symbol);
      const terms = infix ? [shown[0], sign(symbol), shown[1]] : [sign(`${symbol} (`), ...separated(shown), ...more, sign(")")];
      const said = `Forward, step ${number} of ${of}: ${model.name(i)}${where(i)} is ${symbol} of ${parents.map(model.name).join(", ") || "nothing"}, ${Format.text(value)}.`;
      const about = formula && !infix ? Dom.el("span", { class: "muted" }, `  ${formula}`) : "";
      return [said, line("what", phase("Forward", number, of), node(i), `${where(i)} is computed`, about),
        line("formula", ...terms, sign("="), chip(model.name(i), value, "result")), line("sum")];
    }

    const separated = (items) => items.flatMap((item, k) => (k ? [sign(","), item] : [item]));
    const phase = (name, number, of) => Dom.el("span", { class: `phase ${name.toLowerCase()}` }, number ? `${name} ${number} of ${of}` : name);

    function seed() {
      const { grad } = model.nodes[model.loss];
      return [`The backward sweep begins: the derivative of ${L} by itself is 1.`,
        line("what", phase("Backward", 0, 0), `begins at `, node(model.loss), `: the derivative of ${L} by itself is one`),
        line("formula", chip(`∂${L}/∂${L}`, grad, "downstream")), line("sum")];
    }

    function backward({ edge: e, number, of }) {
      const { child, parent, local, downstream, rule: text } = model.edges[e];
      const upstream = model.upstream(e);
      const hasLocal = local !== null && local !== undefined;
      const first = hasLocal ? chip(`∂${model.name(child)}/∂${model.name(parent)}`, local, "local") : rule("local rule", text || model.symbol(child));
      const joined = hasLocal ? product(local, upstream) : "with g =";
      const about = hasLocal && text ? Dom.el("span", { class: "muted" }, `  rule: ${text}`) : "";
      const said = `Backward, edge ${number} of ${of}, from ${model.name(child)} to ${model.name(parent)}: `
        + `local derivative ${hasLocal ? Format.text(local) : text} times upstream ${Format.text(upstream)} is downstream ${Format.text(downstream)}. `;
      const [sumSaid, sumLine] = accumulation(e);
      return [said + sumSaid,
        line("what", phase("Backward", number, of), "from ", node(child), `${where(child)} to `, node(parent), about),
        line("formula", first, sign(joined), chip(d(child), upstream, "upstream"), sign(hasLocal ? "=" : "gives"), chip("downstream", downstream, "downstream")),
        sumLine];
    }

    // Numbers multiply; arrays of one shape entry by entry; else the local derivative is a Jacobian.
    function product(local, upstream) {
      if (!Format.isArray(local)) return "×";
      return String(local.shape) === String(Format.isArray(upstream) ? upstream.shape : "") ? "⊙" : "·";
    }

    function accumulation(e) {
      const { parent, downstream } = model.edges[e];
      const uses = model.edgesInto[parent];
      if (uses.length === 1) return [`It is the only use of ${model.name(parent)}.`, line("sum", `the only use: this is ${d(parent)}`)];
      const k = uses.indexOf(e) + 1;
      const total = model.sum(e);
      const begun = Stepper.before(model, e);
      if (begun === null) {
        return [`First of ${uses.length} uses: the sum begins.`,
          line("sum", `the first of ${uses.length} uses: `, d(parent), " begins with ", Format.quantity(total, "total"))];
      }
      const done = k === uses.length ? `, and ${d(parent)} is complete` : "";
      return [`Use ${k} of ${uses.length}: ${Format.text(begun)} plus ${Format.text(downstream)} is ${Format.text(total)}${done}.`,
        line("sum", `use ${k} of ${uses.length}: `, Format.quantity(begun, "before"), sign("+"), Format.quantity(downstream, "downstream"),
          sign("="), Format.quantity(total, "total"), done, norms(total))];
    }

    // Norms do not add up; say that it is the arrays that do.
    const norms = (a) => (Format.text(a).startsWith("‖") ? Dom.el("span", { class: "muted" }, " (norms; the arrays add entry by entry)") : null);

    function start() {
      const given = model.nodes.length - model.ops.length;
      const text = model.ops.length ? `${given} nodes are given: weights, inputs, constants. Step on (→) to compute the first of ${model.ops.length} operations.`
        : "There is nothing to compute: the loss is given.";
      return [text, line("what", phase("Start", 0, 0), text), line("formula"), line("sum")];
    }

    const tell = { start, forward, seed, backward };

    function show() {
      const { position, playing } = store.get();
      const now = Stepper.at(model, position);
      const [sentence, ...lines] = tell[now.phase](now);
      place.replaceChildren(...lines);
      place.dataset.position = position;
      spoken.setAttribute("aria-live", playing ? "off" : "polite");
      spoken.textContent = sentence;
    }

    place.addEventListener("click", (event) => {
      const button = event.target.closest("[data-node]");
      if (button) store.set({ selected: Number(button.dataset.node), members: null });
    });
    return { show };
  }

  return { make };
})();
