// The page of tr.widget: knobs on the left, on the right the graph, the heat maps and the norms by lag.
// Python computes everything that is shown; a knob sets a trait, and the new payload is drawn when it comes.

const KNOBS = [
  { name: "kind", label: "Cell", options: [["rnn", "RNN (tanh)"], ["lstm", "LSTM"], ["gru", "GRU"]] },
  { name: "source", label: "Input", options: [["impulse", "impulse"], ["sine", "sine"], ["noise", "noise"]] },
  { name: "steps", label: "Steps T", min: 1, max: 200, step: 1 },
  { name: "radius", label: "Spectral radius ρ", min: 0, max: 3, step: 0.05 },
  { name: "seed", label: "Seed", min: 0, max: 100, step: 1 },
  { name: "level", label: "Graph", options: [["step", "cells"], ["op", "operations"], ["rolled", "rolled"]] },
];
const WAIT = 80; // milliseconds without another change before Python is asked
const DECADES = 12; // a gradient so many powers of ten below the largest is as good as vanished
const FEWEST = 3;
const RAMPS = {
  light: ["#fbf6d0", "#dcecc0", "#abdbbe", "#74c2c5", "#479fc6", "#2c72ae", "#1f4788"],
  dark: ["#24333f", "#264a60", "#2a6484", "#3a82a5", "#62a4bb", "#9cc8c4", "#e4efc4"],
};
const ALARM = "#d55e00";
const SVG = "http://www.w3.org/2000/svg";
let made = 0; // widgets on this page: an id must be the only one of its name

function create(parent, tag, attributes = {}, text = "") {
  const svg = parent.namespaceURI === SVG || tag === "svg";
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return parent.appendChild(element);
}

const shown = (x) => (typeof x === "number" ? String(Number(x.toPrecision(3))) : x);

/** Return "dark" or "light": what lies behind the element, or else what the reader prefers. */
function themeOf(element) {
  for (let at = element; at; at = at.parentElement) {
    const [r, g, b, alpha = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    if (alpha > 0.5) return 0.3 * r + 0.59 * g + 0.11 * b < 128 ? "dark" : "light";
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Return the place of a norm in the ramp, by powers of ten below the largest; -1 for one that is not finite. */
function scaleOf(flows) {
  const all = flows.flatMap((flow) => flow.norms.flat()).filter((x) => typeof x === "number" && x > 0);
  const high = all.reduce((a, b) => Math.max(a, b), 0);
  const least = all.reduce((a, b) => Math.min(a, b), high);
  const span = Math.min(Math.max(Math.log10(high / least) || 0, FEWEST), DECADES);
  const place = (x) => {
    if (typeof x !== "number") return -1;
    if (x === 0 || !high) return 0;
    return Math.min(6, Math.max(0, Math.floor(7 * (1 - Math.log10(high / x) / span))));
  };
  return { high, low: high * 10 ** -span, place };
}

function knobs(parent, model, hear, ask) {
  const form = create(parent, "div", { class: "trw-knobs", role: "group", "aria-label": "The network" });
  const number = ++made;
  for (const knob of KNOBS) {
    const id = `trw-${number}-${knob.name}`;
    const row = create(form, "div", { class: "trw-knob" });
    create(row, "label", { for: id }, knob.label);
    const input = create(row, knob.options ? "select" : "input", { id, "data-knob": knob.name });
    for (const [value, text] of knob.options || []) create(input, "option", { value }, text);
    if (!knob.options) {
      for (const key of ["min", "max", "step"]) input.setAttribute(key, knob[key]);
      input.type = "range";
    }
    const output = knob.options ? null : create(row, "output", { for: id });
    const read = () => {
      input.value = model.get(knob.name);
      if (output) output.textContent = shown(model.get(knob.name));
    };
    input.addEventListener("input", () => {
      const value = knob.options ? input.value : Number(input.value);
      if (output) output.textContent = shown(value);
      ask(knob.name, value);
    });
    hear(`change:${knob.name}`, read);
    read();
  }
}

function graph(parent, payload, level) {
  const box = create(parent, "section", { class: "trw-graph", "aria-label": "The graph", tabindex: "0" });
  box.dataset.level = level;
  if (!payload.svg) return;
  const parsed = new DOMParser().parseFromString(payload.svg, "image/svg+xml").documentElement;
  if (parsed.nodeName !== "svg") return;
  const svg = box.appendChild(document.importNode(parsed, true));
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `the network over ${payload.steps} steps, colored by the gradient`);
}

function heatMap(parent, flow, scale, theme) {
  const size = flow.norms.length;
  const figure = create(parent, "figure", { class: "trw-map" });
  create(figure, "figcaption", {}, `‖∂Lₜ/∂${flow.state}ₖ‖: loss t (down), state k (across)${flow.state === "c" ? "; c as handed on" : ""}`);
  const canvas = create(figure, "canvas", { width: size, height: size, tabindex: "0", role: "img" });
  canvas.setAttribute("aria-label", `gradient of each loss by each ${flow.state}; arrow keys read single cells`);
  const readout = create(figure, "output", { class: "trw-readout", "aria-live": "polite" }, "point at a cell");
  const pen = canvas.getContext("2d");
  flow.norms.forEach((row, t) =>
    row.forEach((norm, k) => {
      const place = scale.place(norm);
      pen.fillStyle = place < 0 ? ALARM : RAMPS[theme][place];
      pen.fillRect(k, t, 1, 1);
    })
  );
  let at = [size - 1, size - 1];
  const read = (t, k) => {
    at = [Math.min(Math.max(t, 0), size - 1), Math.min(Math.max(k, 0), size - 1)];
    const norm = flow.norms[at[0]][at[1]];
    const text = norm === undefined ? "0 (the state comes after the loss)" : shown(norm);
    readout.textContent = `t=${at[0]}, k=${at[1]}: ${text}`;
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    read(Math.floor(((event.clientY - box.top) / box.height) * size), Math.floor(((event.clientX - box.left) / box.width) * size));
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    read(at[0] + move[0], at[1] + move[1]);
  });
}

const COLORS = ["var(--trw-first)", "var(--trw-second)"];

function lagChart(parent, flows, kind, radius) {
  const figure = create(parent, "figure", { class: "trw-lags" });
  create(figure, "figcaption", {}, "mean norm by lag t − k, logarithmic");
  const [width, height, left, bottom, top] = [360, 220, 52, 30, 10];
  const svg = create(figure, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "norms by lag" });
  const size = flows[0].lags.length;
  const positive = flows.flatMap((flow) => flow.lags).filter((x) => typeof x === "number" && x > 0);
  const high = Math.ceil(Math.log10(positive.reduce((a, b) => Math.max(a, b), 1e-300)) + 1e-9);
  const least = Math.floor(Math.log10(positive.reduce((a, b) => Math.min(a, b), 10 ** high)));
  const low = Math.max(Math.min(least, high - 1), high - 2 * DECADES);
  const x = (lag) => left + ((width - left - 8) * lag) / Math.max(1, size - 1);
  const y = (norm) => top + ((height - top - bottom) * (high - Math.max(low, Math.log10(norm)))) / (high - low);
  const every = Math.ceil((high - low) / 6);
  for (let power = low; power <= high; power += every) {
    const at = y(10 ** power);
    create(svg, "line", { x1: left, x2: width - 8, y1: at, y2: at, class: "trw-rule" });
    create(svg, "text", { x: left - 5, y: at + 4, "text-anchor": "end" }, `1e${power}`);
  }
  for (const lag of new Set([0, Math.round((size - 1) / 2), size - 1])) {
    const anchor = lag && lag === size - 1 ? "end" : "middle";
    create(svg, "text", { x: x(lag), y: height - 10, "text-anchor": anchor }, String(lag));
  }
  const path = (norms) =>
    norms.map((norm, lag) => (typeof norm === "number" && norm > 0 ? [x(lag), y(norm)] : null)).filter(Boolean);
  const line = (points, attributes) =>
    create(svg, "polyline", { points: points.map((p) => p.map((c) => c.toFixed(1)).join()).join(" "), fill: "none", ...attributes });
  if (kind === "rnn" && radius > 0) {
    const inside = flows[0].lags.map((_, lag) => radius ** lag).map((r) => (r >= 10 ** low && r <= 10 ** high ? r : 0));
    line(path(inside), { class: "trw-theory" });
  }
  flows.forEach((flow, i) => line(path(flow.lags), { stroke: COLORS[i], "stroke-width": 2.2, "data-state": flow.state }));
  const legend = create(figure, "p", { class: "trw-legend" });
  flows.forEach((flow, i) => create(legend, "span", { style: `color:${COLORS[i]}` }, `━ ${flow.state}`));
  if (kind === "rnn") create(legend, "span", {}, "┅ ρ to the power of the lag");
}

function legend(parent, scale, theme) {
  const row = create(parent, "p", { class: "trw-ramp" });
  create(row, "span", {}, `vanishes (${shown(scale.low)})`);
  for (const color of RAMPS[theme]) create(row, "i", { style: `background:${color}` });
  create(row, "span", {}, `largest (${shown(scale.high)})`);
}

function draw(parent, model) {
  const payload = model.get("payload");
  const theme = themeOf(parent);
  parent.closest(".trw").dataset.theme = theme;
  parent.replaceChildren();
  for (const notice of payload.notices) create(parent, "p", { class: "trw-notice" }, notice);
  graph(parent, payload, model.get("level"));
  const scale = scaleOf(payload.flows);
  const numbers = create(parent, "div", { class: "trw-numbers" });
  for (const flow of payload.flows) heatMap(numbers, flow, scale, theme);
  if (payload.flows.length) lagChart(numbers, payload.flows, model.get("kind"), model.get("radius"));
  legend(parent, scale, theme);
}

function render({ model, el }) {
  const root = create(el, "div", { class: "trw" });
  const pending = new Map();
  const heard = [];
  let timer = 0;
  const hear = (event, f) => {
    model.on(event, f);
    heard.push([event, f]);
  };
  const send = () => {
    timer = 0;
    const news = [...pending].filter(([name, value]) => model.get(name) !== value);
    pending.clear();
    if (!news.length) status.textContent = ""; // moved back: there will be no answer
    for (const [name, value] of news) model.set(name, value);
    if (news.length) model.save_changes();
  };
  const ask = (name, value) => {
    pending.set(name, value);
    status.textContent = "computing …";
    clearTimeout(timer);
    timer = setTimeout(send, WAIT);
  };
  knobs(root, model, hear, ask);
  const status = create(root, "p", { class: "trw-status", role: "status" });
  const view = create(root, "div", { class: "trw-view" });
  const follow = () => {
    draw(view, model);
    if (!timer) status.textContent = "";
  };
  const preference = matchMedia("(prefers-color-scheme: dark)");
  hear("change:payload", follow);
  preference.addEventListener("change", follow);
  follow();
  return () => {
    clearTimeout(timer);
    for (const [event, f] of heard) model.off(event, f);
    preference.removeEventListener("change", follow);
  };
}

export default { render };
