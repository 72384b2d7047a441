// Makes elements. Data becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes and children (elements or texts; null is left out). */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element, likewise. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** A picture for all: an SVG of so many pixels with a title and a description. */
export function picture(width, height, title, description, ...children) {
  const parts = [svg("title", {}, title), svg("desc", {}, description)];
  const label = `${title}. ${description}`;
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...parts, ...children);
}

/** Puts new children into an element, made by `make`, if what they are made from has changed. */
export function refill(parent, from, make) {
  const key = JSON.stringify(from);
  if (parent.madeFrom === key) return;
  parent.madeFrom = key;
  parent.replaceChildren(...[make()].flat());
}

/** Sets a text, touching the document only where it differs. */
export function retext(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}
