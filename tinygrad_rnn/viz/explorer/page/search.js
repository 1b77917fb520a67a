// Find nodes by name, operation or time step.
const Search = (() => {
  const MOST = 40;

  // Indices of the nodes that hold every word of the query; names that begin with it come first. Pure.
  function find(model, query) {
    const words = query.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    const hits = [];
    model.nodes.forEach((node, i) => {
      const text = `${model.name(i)} ${node.op || node.kind} ${model.symbol(i)} ${node.scope.join(" ")}`.toLowerCase();
      if (words.every((word) => text.includes(word))) hits.push(i);
    });
    const rank = (i) => {
      const name = model.nodes[i].name.toLowerCase();
      return name === words[0] ? 0 : name.startsWith(words[0]) ? 1 : name.includes(words[0]) ? 2 : 3;
    };
    return hits.map((i) => [rank(i), i]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, i]) => i);
  }

  function make(model, store, choose) {
    const input = Dom.byId("query");
    const list = Dom.byId("hits");
    let [hits, at] = [[], 0];

    function show() {
      hits = find(model, input.value);
      at = Math.min(at, Math.max(0, Math.min(hits.length, MOST) - 1));
      const rows = hits.slice(0, MOST).map((i, k) => Dom.el("li", { role: "option", id: `hit${k}`, "aria-selected": String(k === at), data: { node: i } },
        Dom.el("b", {}, model.name(i)), Dom.el("span", { class: "muted" }, [model.nodes[i].op || model.nodes[i].kind, model.place(i)].filter(Boolean).join(" · "))));
      if (hits.length > MOST) rows.push(Dom.el("li", { class: "muted", "aria-hidden": "true" }, `and ${hits.length - MOST} more`));
      if (input.value.trim() && !hits.length) rows.push(Dom.el("li", { class: "muted" }, "no node of this name"));
      list.replaceChildren(...rows);
      list.hidden = !rows.length;
      input.setAttribute("aria-expanded", String(!list.hidden));
      if (hits.length) input.setAttribute("aria-activedescendant", `hit${at}`);
      else input.removeAttribute("aria-activedescendant");
      const marked = list.children[at];
      if (marked) marked.scrollIntoView({ block: "nearest" });
    }

    function close() { list.hidden = true; input.setAttribute("aria-expanded", "false"); }

    input.addEventListener("input", () => { at = 0; show(); });
    input.addEventListener("focus", show);
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "ArrowDown") at += 1;
      else if (event.key === "ArrowUp") at = Math.max(0, at - 1);
      else if (event.key === "Enter") { if (hits.length) { choose(hits[at]); close(); Dom.byId("graph").focus(); } }
      else if (event.key === "Escape") { input.value = ""; close(); Dom.byId("graph").focus(); return; }
      else return;
      event.preventDefault();
      if (event.key !== "Enter") show();
    });
    list.addEventListener("pointerdown", (event) => {
      const row = event.target.closest("[data-node]");
      if (row) { event.preventDefault(); choose(Number(row.dataset.node)); close(); }
    });
    return { open() { input.focus(); input.select(); } };
  }

  return { make, find };
})();
