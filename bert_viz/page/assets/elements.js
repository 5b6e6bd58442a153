// Elements of the page. Text goes in as text: nothing here parses HTML.

import { visible } from "./telling.js";

export function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null) created.setAttribute(key, value);
  }
  created.append(...children);
  return created;
}

export const byId = (id) => document.getElementById(id);

// A token, isolated from the text around it, cut when it is long.
export function tokenElement(token, longest) {
  return element("span", { class: "token" }, visible(token, longest));
}

// A sentence of texts, tokens and numbers (`telling.js`).
export function sentenceParts(sentence) {
  return sentence.map((part) => {
    if (typeof part === "string") return part;
    if (part.number) return element("span", { class: "whole" }, part.number);
    return tokenElement(part.token, part.full ? Infinity : undefined);
  });
}

// Cells that are texts, tokens ({ token }) or elements.
export function tableOf(caption, heads, rows, attributes = {}) {
  const table = element("table", attributes, element("caption", {}, caption));
  const cells = heads.map((head) =>
    element("th", { scope: "col" }, cellOf(head)),
  );
  const body = element("tbody");
  for (const row of rows) body.append(rowOf(row));
  table.append(element("thead", {}, element("tr", {}, ...cells)), body);
  return table;
}

export function rowOf([first, ...others]) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, cellOf(first)),
    ...others.map((value) => element("td", {}, cellOf(value))),
  );
}

function cellOf(value) {
  return value && value.token !== undefined
    ? tokenElement(value.token)
    : value;
}

// A wide table scrolls in its own box, which the keyboard can reach.
export function scrolling(label, ...children) {
  const box = { class: "scrolling", role: "group", tabindex: "0" };
  return element("div", { ...box, "aria-label": label }, ...children);
}

// Where the boxes of a view are scrolled to, to be restored when they are
// built again.
export function scrolledIn(host) {
  return boxesIn(host).map((box) => [box.scrollLeft, box.scrollTop]);
}

export function scrollAgain(host, scrolled) {
  boxesIn(host).forEach((box, at) => {
    if (scrolled[at]) box.scrollTo(...scrolled[at]);
  });
}

function boxesIn(host) {
  return Array.from(host.querySelectorAll(".scrolling, .strips"));
}

// Roving tabindex: one tab stop for many items. Arrows move among them, Home
// and End go to the first and the last; up and down stay in the column.
export function roving(container, items) {
  const list = () => items().filter((item) => !item.hidden);
  const move = (item) => {
    for (const other of list()) other.tabIndex = other === item ? 0 : -1;
    item.focus();
  };
  container.addEventListener("keydown", (event) => {
    const all = list();
    const from = all.indexOf(document.activeElement);
    const to = from < 0 ? undefined : target(event.key, from, all);
    if (to === undefined || !all[to] || hasModifier(event)) return;
    event.preventDefault();
    move(all[to]);
  });
  container.addEventListener("focusin", (event) => {
    const focused = list().find((item) => item === event.target);
    for (const item of focused ? list() : []) {
      item.tabIndex = item === focused ? 0 : -1;
    }
  });
}

function hasModifier(event) {
  return event.ctrlKey || event.metaKey || event.altKey;
}

function target(key, from, all) {
  const columns = columnsOf(all);
  return {
    ArrowRight: from + 1,
    ArrowLeft: from - 1,
    ArrowDown: from + columns,
    ArrowUp: from - columns,
    Home: 0,
    End: all.length - 1,
  }[key];
}

function columnsOf(all) {
  const top = all[0].offsetTop;
  const next = all.findIndex((item) => item.offsetTop > top + 1);
  return next < 0 ? 1 : next;
}

// The tab stop of new items: the chosen one, or the first.
export function setStop(items, chosen) {
  items.forEach((item, at) => {
    item.tabIndex = item === (chosen || items[0]) ? 0 : -1;
  });
}
