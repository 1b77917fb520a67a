// Magnitudes to the seven colors of the ramp, by powers of ten: the same rule as in the drawings.
const Colors = (() => {
  const LEVELS = 7;
  const FEWEST_DECADES = 3;
  const DECADES = 12;

  // The scale that spans the finite positive magnitudes: at least 3 decades, at most 12.
  function scaleOf(magnitudes) {
    let low = Infinity;
    let high = 0;
    for (const x of magnitudes) {
      if (x > 0 && x < Infinity) { low = Math.min(low, x); high = Math.max(high, x); }
    }
    if (!high) return { low: 0, high: 0 };
    low = Math.min(Math.max(low, high * 10 ** -DECADES), high * 10 ** -FEWEST_DECADES);
    return { low: Math.max(low, 5e-324), high };
  }

  // "lv0" (pale) .. "lv6", "zero", "alarm" (not finite); "" where there is no gradient.
  function level(scale, magnitude) {
    if (magnitude === null || magnitude === undefined) return "";
    if (!(magnitude < Infinity)) return "alarm";
    if (magnitude === 0) return "zero";
    if (!(scale.high > scale.low)) return "lv3";
    const part = (Math.log10(magnitude) - Math.log10(scale.low)) / (Math.log10(scale.high) - Math.log10(scale.low));
    return `lv${Math.max(0, Math.min(LEVELS - 1, Math.floor(part * LEVELS)))}`;
  }

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The colors of this theme as [r, g, b], by the names that `level` returns.
  function table() {
    const names = ["zero", "alarm", ...Array.from({ length: LEVELS }, (_, i) => `lv${i}`)];
    return Object.fromEntries(names.map((name) => [name, rgb(css(`--${name}`))]));
  }

  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

  // A signed entry of an array: one hue below zero, another above, paper at zero.
  function signed(x, largest, paper, negative, positive) {
    const end = x < 0 ? negative : positive;
    const part = largest > 0 ? Math.min(1, Math.abs(x) / largest) : 0;
    return paper.map((c, i) => Math.round(c + (end[i] - c) * part));
  }

  function legend(scale, what) {
    if (!scale.high) return null;
    const cells = Array.from({ length: LEVELS }, (_, i) => Dom.el("i", { class: `lv${i}` }));
    const end = (x) => Dom.el("span", { class: "tabular" }, Format.number(x, 2));
    return [Dom.el("span", { class: "muted" }, what), end(scale.low), Dom.el("span", { class: "ramp", "aria-hidden": "true" }, cells), end(scale.high)];
  }

  return { LEVELS, scaleOf, level, css, rgb, table, signed, legend };
})();
