/* The page's elements. Contract: whatever the service sends becomes text, never markup. */

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; a string child becomes text. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "text") made.textContent = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function say(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}

export function figure(id, value, unit = "") {
  byId(id).replaceChildren(document.createTextNode(value), element("span", { class: "unit", text: unit ? ` ${unit}` : "" }));
}

export function tone(id, name) {
  byId(id).dataset.tone = name;
}

/** A time in Brussels with its offset, UTC on hover. */
export function timeElement(date, text, title) {
  return element("time", { datetime: date.toISOString(), title, text });
}
