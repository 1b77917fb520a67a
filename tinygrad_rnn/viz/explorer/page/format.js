// Numbers as a reader wants them: few digits to see, all of them in the tooltip and in data-value.
const Format = (() => {
  const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const WRITTEN = 4; // an array of at most so many entries is written out

  const isArray = (a) => a !== null && typeof a === "object";

  // The size of a number or an array: |x| or the Euclidean norm.
  function magnitude(a) {
    if (a === null || a === undefined) return null;
    return Math.abs(Number(isArray(a) ? a.norm : a));
  }

  function number(value, digits = 5) {
    const x = Number(value);
    if (Number.isNaN(x)) return "NaN";
    if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
    if (x === 0) return "0";
    const size = Math.abs(x);
    if (size >= 1e-4 && size < 1e6) return String(Number(x.toPrecision(digits))).replace("-", "−");
    const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
    const raised = [...exponent.replace("+", "")].map((c) => RAISED[c]).join("");
    return `${String(Number(mantissa)).replace("-", "−")}·10${raised}`;
  }

  const percent = (part) => {
    const x = 100 * Number(part);
    if (!Number.isFinite(x)) return "–";
    if (x === 0) return "0 %";
    if (Math.abs(x) < 0.05) return x > 0 ? "<0.1 %" : "−<0.1 %";
    return `${(Math.abs(x) < 10 ? x.toFixed(1) : x.toFixed(0)).replace("-", "−")} %`;
  };

  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

  // What an array or number reads like in one line.
  function text(a) {
    if (a === null || a === undefined) return "–";
    if (!isArray(a)) return number(a);
    if (a.list && a.list.length <= WRITTEN && a.shape.length === 1) return `[${a.list.map((x) => number(x, 3)).join("  ")}]`;
    return `‖${number(a.norm)}‖`;
  }

  function exact(a) {
    if (a === null || a === undefined) return "";
    if (!isArray(a)) return String(a);
    const entries = a.list ? `\nentries: ${a.list.join(", ")}` : "";
    return `shape (${a.shape.join(", ")})\nnorm: ${a.norm}\nmin: ${a.min}\nmax: ${a.max}${entries}`;
  }

  // The element for a quantity: short text, everything in the tooltip; data-value is the number or the norm.
  function quantity(a, kind = "") {
    const known = a !== null && a !== undefined;
    const data = known ? { value: String(isArray(a) ? a.norm : a) } : {};
    if (known && isArray(a) && a.list) data.list = JSON.stringify(a.list);
    return Dom.el("span", { class: `quantity ${kind}`, title: exact(a), data }, text(a));
  }

  return { isArray, magnitude, number, percent, count, text, exact, quantity };
})();
