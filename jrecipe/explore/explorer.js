"use strict";
const { DataTable } = globalThis.jrecipeTables;

const NUMBER = "number", WHOLE = "whole", WORD = "word", TRUTH = "truth";
const MOST_CLASSES = 50, BINS = 30, NONE = 255, KEPT_SHEETS = 128, KINDS = 16;

// Words and numbers

const many = (count) => count.toLocaleString("en");
const isNumeric = (column) => column.kind === NUMBER || column.kind === WHOLE;
function shownNumber(value) {
  if (Number.isNaN(value)) return "—";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  return String(value).replace("-", "−").replace("e+", "e");
}
function shownValue(column, row) {
  const value = column.values[row];
  if (column.kind === WORD) return column.words[value];
  if (column.kind === TRUTH) return value ? "true" : "false";
  return shownNumber(value);
}

function element(kind, name, text) {
  const made = document.createElement(kind);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  if (kind === "button") made.type = "button";
  return made;
}

// Columns: typed arrays, keys to sort by, classes, bins

function readColumn(told) {
  const column = { ...told };
  if (told.kind === NUMBER || told.kind === WHOLE) {
    column.values = Float64Array.from(told.values, (each) => (each === null ? NaN : Number(each)));
    column.keys = column.values;
  } else if (told.kind === WORD) {
    column.values = Int32Array.from(told.values);
    const order = new Intl.Collator("en", { numeric: true }).compare;
    const ranks = new Int32Array(told.words.length);
    told.words.map((_, code) => code).sort((a, b) => order(told.words[a], told.words[b]))
      .forEach((code, rank) => { ranks[code] = rank; });
    column.keys = column.values.map((code) => ranks[code]);
    column.lower = told.words.map((word) => word.toLowerCase());
  } else {
    column.values = Uint8Array.from(told.values);
    column.keys = column.values;
  }
  column.classes = classesOf(column);
  column.bins = isNumeric(column) && !column.classes ? binsOf(column) : null;
  return column;
}

// A value each in the order of a list, the class of each row, and how many rows a class has.
function classesOf(column) {
  if (column.kind === NUMBER || !column.values.length) return null;
  const found = new Set();
  for (const value of column.values) {
    found.add(value);
    if (found.size > MOST_CLASSES) return null;
  }
  const counts = new Map([...found].map((value) => [value, 0]));
  for (const value of column.values) counts.set(value, counts.get(value) + 1);
  const by = column.kind === WORD
    ? (a, b) => counts.get(b) - counts.get(a) || a - b
    : (a, b) => a - b;
  const values = [...found].sort(by);
  const place = new Map(values.map((value, i) => [value, i]));
  return {
    values,
    of: Uint8Array.from(column.values, (value) => place.get(value)),
    all: Int32Array.from(values, (value) => counts.get(value)),
    names: values.map((value) => (column.kind === WORD ? column.words[value]
      : column.kind === TRUTH ? String(Boolean(value)) : shownNumber(value))),
  };
}

// Equal bins between a low and a high value, and one more on a side whose tail was cut off.
function binsOf(column) {
  const known = column.values.filter((value) => !Number.isNaN(value)).sort();
  const finite = known.filter(Number.isFinite);
  if (!finite.length) return null;
  const at = (share) => finite[Math.round(share * (finite.length - 1))];
  let low = at(0), high = at(1);
  const inner = [at(0.005), at(0.995)], span = inner[1] - inner[0];
  if (span > 0 && inner[0] - low > span) low = inner[0];
  if (span > 0 && high - inner[1] > span) high = inner[1];
  const under = known[0] < low ? 1 : 0, over = known[known.length - 1] > high ? 1 : 0;
  let count = BINS, step = (high - low) / BINS;
  if (column.kind === WHOLE) {
    step = Math.ceil((high - low + 1) / BINS);
    count = Math.ceil((high - low + 1) / step);
  } else if (!(step > 0)) { step = 1; count = 1; }
  const total = count + under + over;
  const of = new Uint8Array(column.values.length), all = new Int32Array(total);
  const lowest = new Float64Array(total).fill(Infinity);
  const highest = new Float64Array(total).fill(-Infinity);
  column.values.forEach((value, row) => {
    if (Number.isNaN(value)) { of[row] = NONE; return; }
    const bin = value < low ? 0 : value > high ? total - 1
      : under + Math.min(count - 1, Math.floor((value - low) / step));
    of[row] = bin;
    all[bin] += 1;
    if (value < lowest[bin]) lowest[bin] = value;
    if (value > highest[bin]) highest[bin] = value;
  });
  return {
    low, high, under, over, total, of, all, lowest, highest, min: known[0],
    max: known[known.length - 1], missing: column.values.length - known.length,
  };
}

// Which rows are shown: each filter marks the rows that fail it, and a count of fails is kept.

class Selection {
  constructor(data) {
    this.data = data;
    this.fails = new Uint8Array(data.count);
    this.marks = new Map();  // filter -> Uint8Array of 0 and 1, 1 for a row that fails it
    this.version = 0;
  }
  set(filter, mark) {
    const before = this.marks.get(filter);
    for (let row = 0; row < this.data.count; row += 1) {
      this.fails[row] += (mark ? mark[row] : 0) - (before ? before[row] : 0);
    }
    if (mark) this.marks.set(filter, mark); else this.marks.delete(filter);
    this.version += 1;
  }
  // How many rows of each group are shown, if `filter` itself were not there.
  counts(filter, of, groups) {
    const counts = new Int32Array(groups), own = this.marks.get(filter);
    for (let row = 0; row < of.length; row += 1) {
      if (this.fails[row] === (own ? own[row] : 0) && of[row] < groups) counts[of[row]] += 1;
    }
    return counts;
  }
  // The rows that are shown, in the order asked for.
  rows(order) {
    const asked = JSON.stringify(order.map(([column, way]) => [this.data.columns.indexOf(column), way]));
    if (this.asked !== asked) {
      this.sorted = sortedRows(this.data, order);
      this.asked = asked;
      this.seen = -1;
    }
    if (this.seen !== this.version) {
      const shown = new Int32Array(this.data.count);
      let count = 0;
      for (const row of this.sorted) if (this.fails[row] === 0) shown[count++] = row;
      this.shown = shown.subarray(0, count);
      this.seen = this.version;
    }
    return this.shown;
  }
}

// Rows by columns, ties in their order; rows without a number come last either way.
function sortedRows(data, order) {
  const rows = Int32Array.from({ length: data.count }, (_, i) => i);
  if (!order.length) return rows;
  const [{ keys: first }, direction] = order[0];
  const sign = direction === "desc" ? -1 : 1;
  const last = (a, b) => Number.isNaN(first[a]) - Number.isNaN(first[b]);
  const rest = order.slice(1).map(([{ keys }, way]) => [keys, way === "desc" ? -1 : 1]);
  const further = (a, b) => {
    for (const [keys, way] of rest) {
      if (keys[a] < keys[b]) return -way;
      if (keys[a] > keys[b]) return way;
      if (keys[a] !== keys[b]) {
        const apart = Number.isNaN(keys[a]) - Number.isNaN(keys[b]);
        if (apart) return apart;
      }
    }
    return a - b;
  };
  return rows.sort((a, b) => {
    const x = first[a], y = first[b];
    if (x < y) return -sign;
    if (x > y) return sign;
    return (x !== y && last(a, b)) || further(a, b);
  });
}

// Search: every word, or phrase in quotes, stands in the text or in a value of the row.

function termsOf(query) {
  return [...query.toLowerCase().matchAll(/"([^"]+)"?|([^\s"]+)/g)].map((m) => m[1] ?? m[2]);
}
function searchMark(data, query) {
  const terms = termsOf(query);
  if (!terms.length) return null;
  const mark = new Uint8Array(data.count);
  for (const term of terms) {
    const found = new Uint8Array(data.count);
    if (data.lower) {
      data.lower.forEach((text, row) => { if (text.includes(term)) found[row] = 1; });
    }
    const number = /^[-−+]?[\d.]/.test(term) ? term.replace("−", "-") : null;
    for (const column of data.columns) {
      if (column.kind === WORD) {
        const has = column.lower.map((word) => word.includes(term));
        column.values.forEach((code, row) => { if (has[code]) found[row] = 1; });
      } else if (column.kind === TRUTH) {
        const has = ["false".includes(term), "true".includes(term)];
        column.values.forEach((value, row) => { if (has[value]) found[row] = 1; });
      } else if (number !== null) {
        column.values.forEach((value, row) => {
          if (found[row] === 0 && String(value).startsWith(number)) found[row] = 1;
        });
      }
    }
    for (let row = 0; row < data.count; row += 1) if (!found[row]) mark[row] = 1;
  }
  return mark;
}

// Pictures: sheets of many, decoded when one of theirs is asked for; the latest are kept.

class Sheets {
  constructor(picture, scripts) {
    Object.assign(this, { picture, scripts, kept: new Map() });
  }
  decoded(number) {
    let found = this.kept.get(number);
    this.kept.delete(number);
    if (!found) {
      const text = atob(this.scripts[number].textContent);
      const bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
      found = createImageBitmap(new Blob([bytes], { type: this.picture.type }));
    }
    this.kept.set(number, found);
    if (this.kept.size > KEPT_SHEETS) this.kept.delete(this.kept.keys().next().value);
    return found;
  }
  canvas(row, label) {
    const { width, height, across, each } = this.picture;
    const canvas = element("canvas", "jx-picture");
    canvas.width = width;
    canvas.height = height;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    const at = row % each, x = at % across, y = Math.floor(at / across);
    this.decoded(Math.floor(row / each)).then((sheet) => {
      canvas.getContext("2d")
        .drawImage(sheet, x * width, y * height, width, height, 0, 0, width, height);
      canvas.dataset.drawn = "";
    });
    return canvas;
  }
}

// What lies upon pictures: packed for many, unpacked when one of theirs is asked for.

class Layers {
  constructor(each, scripts) {
    Object.assign(this, { each, scripts, known: new Map() });
  }
  // The layer as markup and the numbers of its kinds.
  async of(row) {
    const number = Math.floor(row / this.each);
    if (!this.known.has(number)) {
      const bytes = Uint8Array.from(atob(this.scripts[number].textContent), (c) => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      this.known.set(number, new Response(stream).json());
    }
    return (await this.known.get(number))[row % this.each] || ["", []];
  }
}

function explore(root) {
  const at = (name) => root.querySelector(`.jx-${name}`);
  const data = JSON.parse(at("told").textContent);
  data.columns = data.columns.map(readColumn);
  data.lower = data.texts && data.texts.map((text) => text.toLowerCase());
  const sheets = data.picture && new Sheets(data.picture, root.querySelectorAll(".jx-sheet"));
  const layers = data.marks && new Layers(data.marks.each, root.querySelectorAll(".jx-layers"));
  const selection = new Selection(data);
  const filters = data.columns.map((column) => ({ column, low: null, high: null, chosen: new Set() }));
  const search = { query: "" };
  const facets = [];
  let order = [], shown = selection.rows(order), focused = 0, refocus = false;

  // Filters

  function setRange(filter, low, high) {
    Object.assign(filter, { low, high });
    changed(filter);
  }
  function toggle(filter, group) {
    if (!filter.chosen.delete(group)) filter.chosen.add(group);
    changed(filter);
  }
  const isActive = ({ low, high, chosen }) => low !== null || high !== null || chosen.size > 0;
  function markOf({ column, low, high, chosen }) {
    const mark = new Uint8Array(data.count);
    const from = low ?? -Infinity, to = high ?? Infinity, ranged = low !== null || high !== null;
    for (let row = 0; row < data.count; row += 1) {
      const inside = !ranged || (column.values[row] >= from && column.values[row] <= to);
      const among = !chosen.size || chosen.has(column.classes.of[row]);
      mark[row] = inside && among ? 0 : 1;
    }
    return mark;
  }
  function changed(filter) {
    selection.set(filter, isActive(filter) ? markOf(filter) : null);
    refresh();
  }
  function setSearch(query) {
    search.query = query.trim();
    selection.set(search, searchMark(data, search.query));
    refresh();
  }
  function clear() {
    at("search").value = search.query = "";
    selection.set(search, null);
    for (const filter of filters) {
      Object.assign(filter, { low: null, high: null, chosen: new Set() });
      selection.set(filter, null);
    }
    refresh();
  }
  function words() {
    const said = search.query ? [`contains ${search.query}`] : [];
    for (const { column, low, high, chosen } of filters) {
      if (chosen.size) {
        const names = [...chosen].sort((a, b) => a - b).map((group) => column.classes.names[group]);
        said.push(`${column.name} is ${names.join(" or ")}`);
      }
      if (low !== null && high !== null) said.push(`${column.name} from ${low} to ${high}`);
      else if (low !== null) said.push(`${column.name} at least ${low}`);
      else if (high !== null) said.push(`${column.name} at most ${high}`);
    }
    return said.join("; ") || "all";
  }

  // Annotations: a layer upon the picture

  function marked(canvas, row) {
    if (!layers) return canvas;
    const box = element("div", "jr-marked");
    box.style.setProperty("--ratio", canvas.width / canvas.height);
    box.append(canvas);
    layers.of(row).then(([layer]) => {
      if (layer) box.append(new DOMParser().parseFromString(layer, "text/html").body.firstChild);
    });
    return box;
  }
  function legend(row) {
    const list = element("ul", "jr-legend");
    layers.of(row).then(([, numbers]) => {
      for (const number of numbers.slice(0, KINDS)) {
        const [name, colour] = data.marks.kinds[number];
        const line = element("li"), spot = element("i");
        spot.style.setProperty("--kind", colour);
        line.append(spot, name);
        list.append(line);
      }
      if (numbers.length > KINDS) list.append(element("li", "", `and ${numbers.length - KINDS} more`));
    });
    return list;
  }
  // One choice for all pictures, in the bar and in the dialog.
  function annotationsChoice() {
    const label = element("label", "jx-check"), box = element("input");
    box.type = "checkbox";
    box.checked = !root.classList.contains("jx-plain");
    label.append(box, " Annotations");
    return label;
  }
  root.addEventListener("change", ({ target }) => {
    if (!target.closest(".jx-check")) return;
    root.classList.toggle("jx-plain", !target.checked);
    for (const box of root.querySelectorAll(".jx-check input")) box.checked = target.checked;
  });

  // What follows from a filter: counts and bars at once, the table a moment later.

  let later = 0;
  function refresh() {
    shown = selection.rows(order);
    const active = search.query !== "" || filters.some(isActive);
    at("count").textContent = `${many(shown.length)} of ${many(data.count)} examples shown`;
    at("clear").disabled = !active;
    at("save").disabled = !shown.length;
    for (const draw of facets) draw();
    root.dataset.waits = "";
    clearTimeout(later);
    later = setTimeout(() => { table.draw(); delete root.dataset.waits; }, 80);
  }

  // The table. It asks for the rows it shows; it never holds the others.

  function cell(td, column, row) {
    // The dialog has all digits.
    td.textContent = column.kind === NUMBER
      ? shownNumber(Number(column.values[row].toPrecision(4))) : shownValue(column, row);
    td.title = td.textContent;
  }
  function shownExample(td, row, label) {
    const button = element("button", "jx-open");
    if (sheets) button.append(marked(sheets.canvas(row, label), row));
    else button.append(element("span", "jx-text", data.texts[row].slice(0, 300)));
    td.append(button);
  }
  const widths = data.columns.map((column) => {
    const longest = column.kind === WORD
      ? Math.max(4, ...column.words.slice(0, 2000).map((word) => word.length)) : 8;
    const letters = Math.max(Math.min(32, longest), Math.min(20, column.name.length + 2));
    return letters * 0.55 + 1.5;
  });
  const head = element("tr");
  for (const name of [sheets ? "picture" : "text", ...data.columns.map((column) => column.name)]) {
    head.append(element("th", "", name));
  }
  const html = at("table").querySelector("table");
  html.append(element("thead"));
  html.tHead.append(head);
  const table = new DataTable(html, {
    serverSide: true,
    ajax: (asked, answer) => {
      order = asked.order.map((one) => [data.columns[one.column - 1], one.dir]);
      shown = selection.rows(order);
      const part = shown.subarray(asked.start, asked.start + asked.length);
      answer({
        draw: asked.draw,
        recordsTotal: data.count,
        recordsFiltered: shown.length,
        data: Array.from(part, (row, i) => ({ row, at: asked.start + i })),
      });
    },
    columns: [
      { data: null, defaultContent: "", orderable: false, className: "jx-example",
        width: sheets ? "4.5rem" : root.clientWidth < 600 ? "13rem" : "22rem" },
      ...data.columns.map((column, i) => ({
        data: null, defaultContent: "", width: `${widths[i]}rem`,
        className: isNumeric(column) ? "jx-number" : "jx-word",
        orderSequence: ["asc", "desc", ""],
      })),
    ],
    createdRow: (tr, { row, at: position }, _, cells) => {
      tr.dataset.at = position;
      shownExample(cells[0], row, `Example ${position + 1}`);
      data.columns.forEach((column, i) => cell(cells[i + 1], column, row));
    },
    order: [],
    autoWidth: false,
    searching: false,
    processing: false,
    deferRender: true,
    scrollX: true,
    scrollY: "min(72vh, 52rem)",
    scroller: { displayBuffer: 4, serverWait: 30, loadingIndicator: false },
    layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
    language: { emptyTable: "No example fits.", zeroRecords: "No example fits." },
  });
  const body = html.tBodies[0];
  const rowAt = (position) => body.querySelector(`tr[data-at="${position}"]`);
  function focusRow(position) {
    focused = Math.max(0, Math.min(shown.length - 1, position));
    const tr = rowAt(focused);
    refocus = !tr;
    if (!tr) { table.scroller.toPosition(focused, false); return; }
    tr.scrollIntoView({ block: "nearest" });
    tr.querySelector(".jx-open").focus({ preventScroll: true });
  }
  body.addEventListener("focusin", (event) => {
    const tr = event.target.closest("tr[data-at]");
    if (tr) focused = Number(tr.dataset.at);
  });
  table.on("preDraw", () => { refocus ||= body.contains(document.activeElement); });
  table.on("draw", () => {
    if (refocus) rowAt(focused)?.querySelector(".jx-open").focus({ preventScroll: true });
    refocus = false;
    for (const draw of facets) draw();
  });
  body.addEventListener("click", (event) => {
    const tr = event.target.closest("tr[data-at]");
    if (tr) open(Number(tr.dataset.at));
  });
  const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
  body.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    focusRow(focused + STEPS[event.key]);
  });
  function orderBy(column, direction) {
    table.order([[data.columns.indexOf(column) + 1, direction]]).draw();
    table.scroller.toPosition(0, false);
  }

  // One example, large

  const dialog = at("detail");
  function open(position) {
    focused = position;
    const row = shown[position];
    const bar = element("div", "jx-detail-bar");
    const step = (text, label, by) => {
      const button = element("button", "", text);
      button.setAttribute("aria-label", label);
      button.disabled = !(position + by in shown);
      button.addEventListener("click", () => go(by));
      return button;
    };
    const close = element("button", "jx-close", "Close");
    close.addEventListener("click", () => dialog.close());
    const title = element("span", "jx-detail-title",
      `Example ${many(position + 1)} of ${many(shown.length)}`);
    title.setAttribute("role", "status");
    bar.append(step("‹", "Previous example", -1), step("›", "Next example", 1), title);
    if (layers) bar.append(annotationsChoice());
    bar.append(close);
    const figure = element("div", "jx-large");
    if (sheets) {
      const canvas = sheets.canvas(row, `Example ${position + 1}, large`);
      canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
      if (canvas.width > 96) canvas.classList.add("jx-smooth");
      figure.append(marked(canvas, row));
      if (layers) figure.append(legend(row));
    } else {
      figure.append(element("p", "jx-full", data.texts[row]));
      const length = data.lengths?.[row];
      if (length) {
        figure.append(element("p", "jx-soft",
          `The first ${many(data.texts[row].length)} of ${many(length)} characters.`));
      }
    }
    const facts = element("dl", "jx-facts");
    for (const column of data.columns) {
      const pair = element("div"), name = element("dt", "", column.name);
      if (column.note) name.append(element("span", "jx-soft", column.note));
      pair.append(name, element("dd", "", shownValue(column, row)));
      facts.append(pair);
    }
    const both = element("div", "jx-both");
    both.append(figure, facts);
    dialog.replaceChildren(bar, both);
    if (!dialog.open) dialog.showModal();
    close.focus();
  }
  function go(by) {
    if (focused + by in shown) open(focused + by);
  }
  const TURNS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  dialog.addEventListener("keydown", (event) => {
    if (!(event.key in TURNS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go(TURNS[event.key]);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => focusRow(focused));

  // A card for each column

  function card(filter) {
    const { column } = filter;
    const box = element("fieldset", "jx-facet"), title = element("legend", "", column.name);
    const undo = element("button", "jx-undo", "clear");
    undo.setAttribute("aria-label", `Clear the filter of ${column.name}`);
    undo.addEventListener("click", () => {
      filter.chosen.clear();
      setRange(filter, null, null);
    });
    box.append(title, undo);
    if (column.note) box.append(element("p", "jx-soft", column.note));
    facets.push(() => {
      undo.hidden = !isActive(filter);
      box.classList.toggle("jx-active", isActive(filter));
    });
    if (column.bins) histogram(filter, box);
    if (column.classes) classList(filter, box);
    if (!column.bins && !column.classes) {
      box.append(element("p", "jx-soft", isNumeric(column) ? "no values"
        : `${many(column.words.length)} different values`));
    }
    if (isNumeric(column)) { rangeInputs(filter, box); extremes(column, box); }
    return box;
  }

  function extremes(column, box) {
    const line = element("div", "jx-ends");
    for (const [text, direction] of [["Lowest first", "asc"], ["Highest first", "desc"]]) {
      const button = element("button", "jx-link", text);
      button.setAttribute("aria-label", `${text} by ${column.name}`);
      button.addEventListener("click", () => orderBy(column, direction));
      facets.push(() => {
        const on = order.length > 0 && order[0][0] === column && order[0][1] === direction;
        button.setAttribute("aria-pressed", on);
      });
      line.append(button);
    }
    box.append(line);
  }

  function rangeInputs(filter, box) {
    const { column } = filter, line = element("div", "jx-range");
    const known = column.bins ?? { min: column.classes?.values[0], max: column.classes?.values.at(-1) };
    const make = (end, side, hint) => {
      const input = element("input");
      input.type = "number";
      input.step = "any";
      if (hint !== undefined) input.placeholder = String(hint);
      input.setAttribute("aria-label", `${column.name} ${side}`);
      input.addEventListener("change", () => {
        const value = input.value === "" ? null : Number(input.value);
        setRange(filter, end === "low" ? value : filter.low, end === "high" ? value : filter.high);
      });
      facets.push(() => {
        const now = filter[end] === null || !Number.isFinite(filter[end]) ? "" : String(filter[end]);
        if (document.activeElement !== input || input.value === "" || now === "") input.value = now;
      });
      return input;
    };
    line.append(make("low", "from", known.min), element("span", "", "to"), make("high", "to", known.max));
    box.append(line);
  }

  function classList(filter, box) {
    const { classes, name } = filter.column, list = element("div", "jx-classes");
    const most = Math.max(...classes.all);
    list.setAttribute("role", "group");
    list.setAttribute("aria-label", `${name}, values`);
    const buttons = classes.names.map((text, group) => {
      const button = element("button", "jx-class");
      const bar = element("span", "jx-fill"), all = element("span", "jx-fill jx-all");
      const count = element("span", "jx-n");
      all.style.width = `${(100 * classes.all[group]) / most}%`;
      button.append(element("span", "jx-name", text === "" ? "(empty)" : text), count, all, bar);
      button.title = text;
      button.addEventListener("click", () => toggle(filter, group));
      list.append(button);
      return { button, bar, count };
    });
    facets.push(() => {
      const counts = selection.counts(filter, classes.of, classes.values.length);
      buttons.forEach(({ button, bar, count }, group) => {
        const on = filter.chosen.has(group);
        button.setAttribute("aria-pressed", on);
        button.classList.toggle("jx-off", filter.chosen.size > 0 && !on);
        bar.style.width = `${(100 * counts[group]) / most}%`;
        count.textContent = many(counts[group]);
      });
    });
    box.append(list);
  }

  function histogram(filter, box) {
    const { column } = filter, { bins } = column, HIGH = 48;
    const spaceUnder = bins.under * 0.6, wide = bins.total + spaceUnder + bins.over * 0.6;
    const from = (bin) => bin + (bin >= bins.under ? spaceUnder : 0)
      + (bins.over && bin === bins.total - 1 ? 0.6 : 0);
    const svg = drawn("svg", { class: "jx-histogram", viewBox: `0 0 ${wide} ${HIGH}`,
      preserveAspectRatio: "none", role: "img" });
    const back = drawn("path", { class: "jx-back" }), front = drawn("path", { class: "jx-front" });
    const chosen = drawn("rect", { class: "jx-chosen", y: 0, height: HIGH });
    svg.append(chosen, back, front);
    const most = Math.max(...bins.all);
    const bars = (counts) => Array.from(counts, (count, bin) => {
      if (!count) return "";
      const tall = Math.max(1.5, (count / most) * (HIGH - 2));
      return `M${from(bin) + 0.06} ${HIGH}v${-tall}h0.88v${tall}z`;
    }).join("");
    back.setAttribute("d", bars(bins.all));
    const among = (bin) => (filter.low === null || bins.highest[bin] >= filter.low)
      && (filter.high === null || bins.lowest[bin] <= filter.high);
    facets.push(() => {
      const counts = selection.counts(filter, bins.of, bins.total);
      if (isActive(filter)) {
        for (let bin = 0; bin < bins.total; bin += 1) if (!among(bin)) counts[bin] = 0;
        const inside = [...bins.all.keys()].filter((bin) => bins.all[bin] && among(bin));
        const left = inside.length ? from(inside[0]) : 0;
        chosen.setAttribute("x", left);
        chosen.setAttribute("width", inside.length ? from(inside.at(-1)) + 1 - left : 0);
      } else chosen.setAttribute("width", 0);
      front.setAttribute("d", bars(counts));
    });
    svg.setAttribute("aria-label", `Histogram of ${column.name}: ${many(bins.all.reduce((a, b) => a + b))} `
      + `values from ${shownNumber(bins.min)} to ${shownNumber(bins.max)}`);
    brush(svg, filter, (share) => {
      const x = share * wide;
      let bin = 0;
      while (bin + 1 < bins.total && x >= from(bin + 1)) bin += 1;
      return bin;
    });
    const axis = element("div", "jx-axis");
    axis.append(
      element("span", "", (bins.under ? `${shownNumber(bins.min)} … ` : "") + shownNumber(bins.low)),
      element("span", "", shownNumber(bins.high) + (bins.over ? ` … ${shownNumber(bins.max)}` : "")),
    );
    box.append(svg, axis);
    if (bins.under || bins.over) {
      box.append(element("p", "jx-soft", "The bar set apart holds the rest of the tail."));
    }
    if (bins.missing) box.append(element("p", "jx-soft", `${many(bins.missing)} without a value`));
  }

  // A drag over bars selects from the lowest to the highest value in them; a click on a selection ends it.
  function brush(svg, filter, binAt) {
    const { bins } = filter.column;
    let first = null, start = 0;
    const share = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.max(0, Math.min(0.9999, (event.clientX - box.left) / box.width));
    };
    const select = (event) => {
      const bin = binAt(share(event)), low = Math.min(first, bin), high = Math.max(first, bin);
      const lows = bins.lowest.subarray(low, high + 1), highs = bins.highest.subarray(low, high + 1);
      const from = Math.min(...lows), to = Math.max(...highs);
      if (from > to) return;  // no value there
      if (from !== filter.low || to !== filter.high) setRange(filter, from, to);
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      svg.setPointerCapture(event.pointerId);
      first = binAt(share(event));
      start = event.clientX;
    });
    svg.addEventListener("pointermove", (event) => {
      if (first !== null && Math.abs(event.clientX - start) > 3) select(event);
    });
    svg.addEventListener("pointerup", (event) => {
      if (first === null) return;
      if (Math.abs(event.clientX - start) <= 3 && isActive(filter)) setRange(filter, null, null);
      else select(event);
      first = null;
    });
    svg.addEventListener("pointercancel", () => { first = null; });
  }

  // Saving what is shown

  function file() {
    const column = (name) => data.columns.find((one) => one.name === name);
    const split = column("split"), row = column("row");
    const given = {
      name: data.name, filter: words(),
      sort: order.map(([one, direction]) => `${one.name} ${direction === "desc" ? "descending" : "ascending"}`),
      in_page: data.count, in_data: data.all, count: shown.length,
      places: Array.from(shown, (each) => data.places[each]),
    };
    if (split && row) {
      given.rows = Array.from(shown, (each) => ({
        split: shownValue(split, each), row: row.kind === WORD ? shownValue(row, each) : row.values[each],
      }));
    }
    return given;
  }
  function download() {
    const link = element("a");
    const name = data.name.replace(/[^\p{L}\p{N}_-]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 80);
    link.download = `${name || "examples"}-selection.json`;
    link.href = URL.createObjectURL(new Blob([JSON.stringify(file())], { type: "application/json" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  let typed = 0;
  at("search").addEventListener("input", (event) => {
    clearTimeout(typed);
    typed = setTimeout(() => setSearch(event.target.value), 150);
  });
  at("clear").addEventListener("click", () => { clearTimeout(typed); clear(); at("search").focus(); });
  at("save").addEventListener("click", download);
  at("facets").append(...filters.map(card));
  const side = at("side");
  side.open = root.clientWidth >= 720;
  // Where filters stand beside the table nothing is there to open them by.
  new ResizeObserver(() => {
    if (getComputedStyle(side.firstElementChild).display === "none") side.open = true;
  }).observe(root);
  refresh();
  root.dataset.ready = "";
}

function drawn(kind, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

for (const root of document.querySelectorAll(".jx")) explore(root);
