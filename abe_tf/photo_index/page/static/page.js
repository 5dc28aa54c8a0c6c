// What happens on the page: the address says what is searched, all else follows from it.

import { boxOf } from "./boxing.js";
import { drawPiles } from "./piles.js";
import { address, ask, number as numberOf, read, same, written } from "./state.js";
import {
  drawFilters, drawHits, drawPanel, drawProgress, drawQuestion, drawTicked, say,
} from "./view.js";
import { drawWhy } from "./why.js";

const $ = (id) => document.getElementById(id);
const POLL = 2000;
// Percent below which a hit is unlikely, and above which neighbours tell a kind.
const LINE = 50;
// What says how sure a pair must be: fields, and their names in the address.
const SURE = { "kinds-there": "kinds", precision: "precision", distance: "max_distance" };

let state = read(location.search);
let hits = [];
// What those hits were found by, which the next question may have changed already.
let searchedFor = [];
let about = { photos: 0, folders: [], labels: [], broken: [], broken_count: 0 };
let asked = 0;
const ticked = new Set();
const sizes = new Map();

const actions = {
  remove: (name, number) => go({ [name]: state[name].filter((_, other) => other !== number) }),
  size: (example) => sizeOf(example),
  box: async (name, number) => {
    const example = state[name][number];
    const box = await boxOf(address(example), await sizeOf(example), example.box);
    if (box === undefined) return;
    const { box: _, ...whole } = example;
    const changed = box ? { ...whole, box } : whole;
    go({ [name]: state[name].map((one, other) => (other === number ? changed : one)) });
  },
};

// Goes on to another question; what was asked before is one step back.
function go(changes) {
  state = { ...state, count: 60, ...changes };
  history.pushState(null, "", written(state));
  show();
}

async function show() {
  for (const button of document.querySelectorAll("nav button")) {
    if (button.dataset.view === state.view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  for (const [id, name] of Object.entries(SURE)) $(id).value = state[name] ?? "";
  $("hits").hidden = Boolean(state.view);
  $("piles").hidden = !state.view;
  await (state.view ? showPiles() : showHits());
}

async function showPiles() {
  const number = ++asked;
  const { view, kinds, precision, max_distance } = state;
  drawQuestion({ like: [], unlike: [] }, actions);
  drawPanel(null);
  $("more").hidden = true;
  $("piles").replaceChildren();
  say("Comparing all photos …");
  try {
    const response = await ask(`/api/pile/${view}`, { kinds, precision, max_distance });
    const answer = await response.json();
    if (number !== asked) return;
    drawPiles($("piles"), answer.sets, ticked, {
      tick,
      suggest: (label) => { $("label").value = label; },
      search: ({ photo }) => go({ view: "", like: [{ photo }], unlike: [] }),
    });
    say(answer.note);
  } catch (error) {
    if (number === asked) say(error.message, true);
  }
}

async function showHits() {
  const number = ++asked;
  const searched = state.like.length > 0;
  const { like } = state;
  drawQuestion(state, actions);
  drawFilters(about, state, (label, on) => filter({
    label: on ? [...state.filter.label, label] : state.filter.label.filter((one) => one !== label),
  }));
  $("hits").setAttribute("aria-busy", "true");
  try {
    const response = await ask("/api/search", state);
    const answer = await response.json();
    // An answer to a question before this one came late.
    if (number !== asked) return;
    hits = answer.hits;
    $("sure").textContent = answer.sure;
    searchedFor = like;
    say(words(searched));
  } catch (error) {
    if (number !== asked) return;
    hits = [];
    say(error.message, true);
  }
  $("hits").removeAttribute("aria-busy");
  drawHits(hits, ticked, searched, state.precision ?? LINE);
  drawPanel(null);
  $("more").hidden = hits.length < state.count || state.count >= 1000;
}

function words(searched) {
  if (!about.photos) return "Nothing is indexed yet.";
  const { folder, label, since, until } = state.filter;
  const filtered = folder || label.length || since || until;
  if (!hits.length) return filtered ? "No photo passes these filters." : "There is no other photo.";
  if (!searched && state.unlike.length) return "Add a photo that is meant; so far there is only what is not.";
  return searched ? "" : `${about.photos.toLocaleString("en")} photos; the newest first.`;
}

function filter(changes) {
  go({ view: "", filter: { ...state.filter, ...changes } });
}

// Adds a photo to what is meant, or not, and takes it from the other.
function add(name, example) {
  const other = name === "like" ? "unlike" : "like";
  if (state[name].some((one) => same(one, example))) return;
  go({
    view: "",
    [name]: [...state[name], example],
    [other]: state[other].filter((one) => !same(one, example)),
  });
}

function sizeOf(example) {
  const path = address(example);
  if (!sizes.has(path)) sizes.set(path, ask(`${path}/size`).then((response) => response.json()));
  return sizes.get(path);
}

async function upload(files) {
  for (const file of files) {
    say(`Reading ${file.name} …`);
    try {
      const response = await ask("/api/upload", file, "application/octet-stream");
      const { token, width, height } = await response.json();
      sizes.set(`/upload/${token}`, Promise.resolve({ width, height }));
      say("");
      add("like", { upload: token });
    } catch (error) {
      say(`${file.name}: ${error.message}`, true);
    }
  }
}

function tick(hit, on) {
  if (on) ticked.add(hit.photo);
  else ticked.delete(hit.photo);
  drawTicked(ticked.size);
}

function tickAll(first, last, on) {
  for (let i = first; i <= last; i += 1) {
    tick(hits[i], on);
    $("hits").children[i].querySelector(".tick").checked = on;
  }
}

const hitOf = (target) => target.closest?.("#hits > li");

$("hits").addEventListener("click", (event) => {
  const item = hitOf(event.target);
  if (!item) return;
  const hit = hits[item.dataset.number];
  if (event.target.closest(".picture")) open(hit);
  else if (event.target.closest(".more-like")) add("like", { photo: hit.photo });
  else if (event.target.closest(".not-like")) add("unlike", { photo: hit.photo });
  else if (event.target.closest(".tick")) {
    const to = Number(item.dataset.number);
    const from = event.shiftKey && lastTicked !== null ? lastTicked : to;
    tickAll(Math.min(from, to), Math.max(from, to), event.target.checked);
    lastTicked = to;
  }
});
let lastTicked = null;

$("hits").addEventListener("keydown", (event) => {
  const item = hitOf(event.target);
  if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
  const hit = hits[item.dataset.number];
  const columns = getComputedStyle($("hits")).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  if (event.key in steps) {
    const next = $("hits").children[Number(item.dataset.number) + steps[event.key]];
    if (next) focus(item, next);
  } else if (event.key === " ") {
    const box = item.querySelector(".tick");
    box.checked = !box.checked;
    tick(hit, box.checked);
  } else if (event.key === "Enter") open(hit);
  else if (event.key === "l") add("like", { photo: hit.photo });
  else if (event.key === "n") add("unlike", { photo: hit.photo });
  else return;
  event.preventDefault();
});

function focus(before, item) {
  before.tabIndex = -1;
  item.tabIndex = 0;
  item.focus();
}

function open(hit) {
  const back = document.activeElement;
  const meant = searchedFor[hit.like];
  drawPanel(hit, meant);
  const close = () => {
    drawPanel(null);
    back?.focus();
  };
  $("close").addEventListener("click", close);
  $("copy-path").addEventListener("click", () => copy(hit.path));
  $("tick-above").addEventListener("click", () => tickAll(0, hits.indexOf(hit), true));
  $("panel").onkeydown = (event) => event.key === "Escape" && close();
  $("close").focus();
  if (meant) explain(hit, meant);
}

// Why a photo was found, by the photo that is meant and nearest to it.
async function explain(hit, like) {
  const section = $("why");
  section.textContent = "Looking why …";
  try {
    const response = await ask("/api/why", { like, photo: hit.photo });
    const answer = await response.json();
    // Another photo may be open by now.
    if (section.isConnected) await drawWhy(section, answer);
  } catch (error) {
    section.textContent = error.message;
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    say("The browser does not let this page write to the clipboard.", true);
  }
}

async function listed() {
  return (await ask("/api/list", { photos: [...ticked] })).text();
}

function reported(work) {
  return async (event) => {
    event.preventDefault();
    try {
      await work();
    } catch (error) {
      say(error.message, true);
    }
  };
}

$("ticked").addEventListener("submit", reported(async () => {
  const label = $("label").value.trim();
  const response = await ask("/api/label", { photos: [...ticked], label: label || null });
  const { labelled } = await response.json();
  await refresh();
  await show();
  say(label ? `${labelled} labelled ${label}.` : `${labelled} have the label of their folder again.`);
}));
$("copy").addEventListener("click", reported(async () => {
  const rows = (await listed()).trimEnd().split("\n").slice(1);
  await copy(rows.map((row) => row.slice(0, row.lastIndexOf(","))).join("\n"));
}));
$("csv").addEventListener("click", reported(async () => {
  const url = URL.createObjectURL(new Blob([await listed()], { type: "text/csv" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: "photos.csv" });
  link.click();
  URL.revokeObjectURL(url);
}));
$("copy-files").addEventListener("click", reported(async () => {
  const to = $("to").value.trim();
  const response = await ask("/api/copy", { photos: [...ticked], to });
  const { copied, failed } = await response.json();
  say([`${copied} copied to ${to}.`, ...failed.map((text) => `Not copied: ${text}.`)].join(" "), failed.length > 0);
}));
$("untick").addEventListener("click", () => {
  ticked.clear();
  drawTicked(0);
  for (const box of document.querySelectorAll(".tick")) box.checked = false;
});

$("file").addEventListener("change", async () => {
  await upload([...$("file").files]);
  $("file").value = "";
});
document.addEventListener("paste", (event) => upload([...(event.clipboardData?.files ?? [])]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  upload([...(event.dataTransfer?.files ?? [])]);
});
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => go({ view: button.dataset.view }));
}
for (const [id, name] of Object.entries(SURE)) {
  $(id).addEventListener("change", () => go({ [name]: numberOf($(id).value) }));
}
$("clear").addEventListener("click", () => go({ like: [], unlike: [] }));
$("more").addEventListener("click", () => go({ count: Math.min(1000, state.count * 2) }));
for (const name of ["folder", "since", "until"]) {
  $(name).addEventListener("change", () => filter({ [name]: $(name).value }));
}
addEventListener("popstate", () => {
  state = read(location.search);
  show();
});

async function refresh() {
  about = await (await ask("/api/state")).json();
  drawProgress(about.progress);
}

// While the index is being made its photos come in.
async function poll() {
  const before = about.photos;
  try {
    await refresh();
    if (about.photos !== before && !state.view && !state.like.length && !ticked.size && $("panel").hidden) await show();
  } catch (error) {
    say(error.message, true);
  }
  setTimeout(poll, about.progress || !about.photos ? POLL : 10 * POLL);
}

// On a narrow screen the photos come first.
$("filters").querySelector("details").open = matchMedia("(min-width: 40rem)").matches;
try {
  await refresh();
} catch (error) {
  say(error.message, true);
}
await show();
setTimeout(poll, POLL);
