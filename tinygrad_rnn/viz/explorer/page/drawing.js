// One view's SVG, read once: which box stands for which nodes, which line for which edges of the graph.
const Drawing = (() => {
  const SECOND = new Set(["ghost", "state", "chain"]); // boxes of a node that has its own box elsewhere
  const FORBIDDEN = "script, foreignObject, image, iframe, style";

  // Parse the SVG text and keep only the group of the graph, without links, handlers and Graphviz's own caption.
  function parse(text) {
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
    const root = parsed.querySelector("g.graph");
    if (!root) return null;
    for (const bad of root.querySelectorAll(FORBIDDEN)) bad.remove();
    for (const link of root.querySelectorAll("a")) link.replaceWith(...link.childNodes);
    for (const element of root.querySelectorAll("*")) {
      for (const { name } of [...element.attributes]) if (/^on|href$|^style$|^id$/i.test(name)) element.removeAttribute(name);
    }
    for (const child of [...root.children]) if (child.tagName !== "g") child.remove();
    root.removeAttribute("transform");
    return document.importNode(root, true);
  }

  function takeTitle(group) {
    const title = group.querySelector("title");
    const text = title ? title.textContent : "";
    if (title) title.remove();
    return text;
  }

  // The rectangle around a shape, from its own coordinates: no layout is asked for.
  function boundsOf(shape) {
    if (shape.tagName === "ellipse") {
      const [x, y, rx, ry] = ["cx", "cy", "rx", "ry"].map((key) => Number(shape.getAttribute(key)));
      return { x: x - rx, y: y - ry, w: 2 * rx, h: 2 * ry };
    }
    const numbers = (shape.getAttribute("points") || shape.getAttribute("d") || "").match(/-?[\d.]+(?:e-?\d+)?/g) || [];
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i + 1 < numbers.length; i += 2) {
      const [x, y] = [Number(numbers[i]), Number(numbers[i + 1])];
      left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
    return { x: left, y: top, w: right - left, h: bottom - top };
  }

  // What Graphviz draws without a shape (folded steps) gets one, around its text.
  function outlined(group) {
    const line = group.querySelector("text");
    const [x0, y] = line ? [Number(line.getAttribute("x")), Number(line.getAttribute("y"))] : [0, 0];
    const text = line ? 2.9 * line.textContent.length : 0; // half of its width, about
    const x = line && line.getAttribute("text-anchor") === "start" ? x0 + text : x0;
    const half = text + 8;
    const points = [[-1, -15], [1, -15], [1, 8], [-1, 8]].map(([side, dy]) => `${x + side * half},${y + dy}`).join(" ");
    const shape = Dom.svg("polygon", { points });
    group.prepend(shape);
    return shape;
  }

  // Tell the lines of a box apart, so that the page can hide what is not computed yet.
  function markLines(group) {
    const texts = [...group.querySelectorAll("text")];
    const rich = texts.some((line) => line.getAttribute("font-weight") === "bold");
    const heights = new Set(texts.filter((line) => /^(∂|‖∂|\|∂|grad not)/.test(line.textContent)).map((line) => line.getAttribute("y")));
    texts.forEach((line, k) => {
      const heading = rich ? line.getAttribute("font-weight") === "bold" : k === 0;
      line.setAttribute("class", heading ? "heading" : heights.has(line.getAttribute("y")) ? "gradient" : "value");
    });
  }

  // A constant that is written into another node's box.
  const isInlined = ({ kind, name, shape }) => kind === "constant" && !name && shape.length === 0;

  function readBox(group, view, nodes) {
    const id = takeTitle(group);
    const known = (view.members || {})[id];
    const own = Number(id.slice(1));
    const hosted = known || (own < nodes.length ? [own] : []);
    const members = hosted.filter((i, k) => k === 0 || !isInlined(nodes[i]));
    const base = group.getAttribute("class");
    const shape = group.querySelector("polygon, path, ellipse") || outlined(group);
    markLines(group);
    group.dataset.box = id;
    const kind = base.split(" ")[1] || "";
    return { id, group, members, hosted, base, kind, bounds: boundsOf(shape), hidden: true, in: [], out: [], status: "", light: "" };
  }

  function readLine(group, boxes) {
    const [tail, head] = takeTitle(group).split("->").map((id) => boxes.get(id));
    if (!tail || !head || !group.querySelector("path")) return null;
    const bounds = boundsOf(group.querySelector("path"));
    const line = { group, tail, head, edges: [], bounds, hidden: true, base: group.getAttribute("class"), status: "", light: "" };
    tail.out.push(line);
    head.in.push(line);
    return line;
  }

  // Give each edge of the graph to the line that is drawn for it.
  function assignEdges(model, boxesOf) {
    const lineOf = new Array(model.edges.length).fill(null);
    const sets = new Map();
    const has = (box, i) => {
      if (box.members.length < 9) return box.members.includes(i);
      if (!sets.has(box)) sets.set(box, new Set(box.members));
      return sets.get(box).has(i);
    };
    model.edges.forEach((edge, e) => {
      for (const box of boxesOf[edge.child] || []) {
        const line = box.in.find((candidate) => has(candidate.tail, edge.parent));
        if (line) { line.edges.push(e); lineOf[e] = line; return; }
      }
    });
    return lineOf;
  }

  // Read a view: {root, boxes, lines, boxesOf, lineOf, bounds}.
  function read(text, view, model) {
    const root = parse(text);
    if (!root) return null;
    const boxes = new Map();
    for (const group of root.querySelectorAll("g.node")) {
      const box = readBox(group, view, model.nodes);
      boxes.set(box.id, box);
    }
    const lines = [...root.querySelectorAll("g.edge")].map((group) => readLine(group, boxes)).filter(Boolean);
    const frames = [...root.querySelectorAll("g.cluster")].map(readFrame);
    const boxesOf = model.nodes.map(() => []);
    for (const box of boxes.values()) for (const i of box.hosted) boxesOf[i].push(box);
    for (const list of boxesOf) list.sort((a, b) => Number(SECOND.has(a.kind)) - Number(SECOND.has(b.kind)));
    const lineOf = assignEdges(model, boxesOf);
    const layers = intoLayers(root, [frames, lines, [...boxes.values()]]);
    const things = [...frames, ...lines, ...boxes.values()];
    return { root, boxes, lines, boxesOf, lineOf, layers, things, bounds: union(things.map((thing) => thing.bounds)) };
  }

  // One group each for frames, lines and boxes, still empty: what is seen is put into them.
  function intoLayers(root, kinds) {
    const layers = kinds.map((things) => {
      const layer = Dom.svg("g");
      for (const thing of things) thing.layer = layer;
      return layer;
    });
    root.replaceChildren(...layers);
    return layers;
  }

  function readFrame(group) {
    takeTitle(group);
    return { group, bounds: boundsOf(group.querySelector("path, polygon")), hidden: true };
  }

  function union(list) {
    const edge = (pick, of) => list.reduce((found, b) => pick(found, of(b)), of(list[0]));
    if (!list.length) return { x: 0, y: 0, w: 1, h: 1 };
    const left = edge(Math.min, (b) => b.x);
    const top = edge(Math.min, (b) => b.y);
    const right = edge(Math.max, (b) => b.x + b.w);
    const bottom = edge(Math.max, (b) => b.y + b.h);
    return { x: left - 8, y: top - 8, w: right - left + 16, h: bottom - top + 16 };
  }

  return { read, parse, takeTitle, markLines, boundsOf };
})();
