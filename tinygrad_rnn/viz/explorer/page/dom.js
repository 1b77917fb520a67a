// Elements from plain data. Text enters the page as text nodes only, never as markup.
const Dom = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(element, properties, children) {
    for (const [key, value] of Object.entries(properties || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "data") Object.assign(element.dataset, value);
      else if (key === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
      else element.setAttribute(key, value === true ? "" : String(value));
    }
    element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  const el = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
  const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);
  const byId = (id) => document.getElementById(id);

  // One call of `work` per painted frame, with the last arguments given.
  function perFrame(work) {
    let waiting = null;
    return (...values) => {
      if (waiting === null) requestAnimationFrame(() => { const last = waiting; waiting = null; work(...last); });
      waiting = values;
    };
  }

  return { el, svg, byId, perFrame };
})();
