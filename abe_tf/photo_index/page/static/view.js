// Draws what the server has answered. All of it is text: photos may be called anything.

import { address, thumbnail } from "./state.js";

const $ = (id) => document.getElementById(id);

export function say(text, wrong = false) {
  $("message").textContent = text;
  $("message").classList.toggle("wrong", wrong);
}

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function drawQuestion(state, actions) {
  for (const name of ["like", "unlike"]) {
    $(name).replaceChildren(...state[name].map((example, number) => {
      const words = name === "like" ? "meant" : "not meant";
      const picture = element("img", { src: thumbnail(example), alt: `A photo that is ${words}` });
      const open = element("button", { type: "button", className: "picture", title: "Choose a part" }, picture);
      open.addEventListener("click", () => actions.box(name, number));
      const away = element("button", { type: "button", className: "away", textContent: "×" });
      away.setAttribute("aria-label", `Remove photo ${number + 1} that is ${words}`);
      away.addEventListener("click", () => actions.remove(name, number));
      const item = element("li", {}, open, away);
      if (example.box) {
        item.append(element("p", { textContent: "a part of it" }));
        picture.addEventListener("load", () => outline(open, picture, example.box, actions.size(example, picture)));
      }
      return item;
    }));
  }
  $("clear").hidden = !(state.like.length + state.unlike.length);
}

// Draws a box over a picture that is shown smaller.
async function outline(over, picture, box, size) {
  const { width, height } = await size;
  const place = element("div", { className: "box" });
  const share = (value, whole) => `${(100 * value) / whole}%`;
  place.style.left = share(box[0], width);
  place.style.top = share(box[1], height);
  place.style.width = share(box[2] - box[0], width);
  place.style.height = share(box[3] - box[1], height);
  over.append(place);
}

// With a line where P(same kind) falls below so many percent.
export function drawHits(hits, ticked, searched, bar) {
  const below = hits.findIndex((hit) => hit.unlike || hit.probability !== null && hit.probability < bar / 100);
  $("hits").replaceChildren(...hits.map((hit, number) => {
    const item = $("hit").content.firstElementChild.cloneNode(true);
    const name = hit.label ?? hit.path.split("/").pop();
    item.dataset.number = number;
    item.tabIndex = number ? -1 : 0;
    item.classList.toggle("unlike", hit.unlike);
    item.setAttribute("aria-label", searched ? `${name}, distance ${hit.distance.toFixed(2)}` : name);
    item.querySelector("img").src = `/thumbnail/${hit.photo}`;
    item.querySelector("img").alt = name;
    item.querySelector(".kind").textContent = hit.label ?? "";
    item.querySelector(".sure").textContent = hit.sure;
    if (number === below && number && !hit.unlike) {
      item.classList.add("below");
      item.prepend(element("p", { className: "line", textContent: `below ${bar} %` }));
    }
    item.querySelector(".distance").textContent = searched ? hit.distance.toFixed(3) : "";
    const copies = hit.copies.length;
    item.querySelector(".copies").textContent = copies ? `×${copies + 1}` : "";
    item.querySelector(".tick").checked = ticked.has(hit.photo);
    for (const part of item.querySelectorAll("button, input")) part.tabIndex = -1;
    return item;
  }));
}

// With the photo that is meant, where one is.
export function drawPanel(hit, meant) {
  const panel = $("panel");
  panel.hidden = !hit;
  if (!hit) return;
  const facts = [
    ["Same kind", meant ? hit.sure : ""],
    ["Kind", hit.label ?? "not known"],
    ["Taken", hit.time],
    ["Camera", hit.camera],
    ["Size", `${hit.width} × ${hit.height} pixels, ${(hit.bytes / 1e6).toFixed(2)} MB`],
    ["Path", hit.path],
    ...hit.copies.map((path) => ["Copy", path]),
  ].filter(([, value]) => value);
  const list = element("dl", {}, ...facts.flatMap(([name, value]) => [
    element("dt", { textContent: name }), element("dd", { textContent: value }),
  ]));
  const close = element("button", { type: "button", id: "close", textContent: "Close" });
  const copy = element("button", { type: "button", id: "copy-path", textContent: "Copy path" });
  const tick = element("button", { type: "button", id: "tick-above", textContent: "Tick all up to this one" });
  panel.replaceChildren(
    close,
    element("div", { className: "beside" },
      ...(meant ? [figure(address(meant), "searched for")] : []),
      figure(`/photo/${hit.photo}`, meant ? "found" : "")),
    ...(meant ? [element("section", { id: "why" })] : []),
    list, copy, tick,
  );
  if (meant) panel.append(distances(hit));
}

function figure(src, caption) {
  const picture = element("img", { src, alt: caption || "the photo" });
  return element("figure", {}, picture, element("figcaption", { textContent: caption }));
}

// The distance of each learner; the ensemble distance is their mean.
function distances(hit) {
  const rows = hit.learner_distances.map((distance, number) => {
    const bar = element("meter", { min: 0, max: 2, value: distance });
    bar.setAttribute("aria-label", `Learner ${number + 1}`);
    return element("tr", {},
      element("th", { scope: "row", textContent: `Learner ${number + 1}` }),
      element("td", {}, bar), element("td", { textContent: distance.toFixed(3) }));
  });
  const caption = element("caption", { textContent: `Distance ${hit.distance.toFixed(3)}, the mean of:` });
  return element("table", {}, caption, ...rows);
}

export function drawFilters(about, state, change) {
  const { filter } = state;
  for (const name of ["folder", "since", "until"]) $(name).value = filter[name];
  $("folders").replaceChildren(...about.folders.map((value) => element("option", { value })));
  $("kinds").replaceChildren(...about.labels.map(({ label }) => element("option", { value: label })));
  const gone = filter.label.filter((name) => !about.labels.some(({ label }) => label === name));
  const labels = [...about.labels, ...gone.map((label) => ({ label, count: 0 }))];
  $("labels").replaceChildren(...labels.map(({ label, count }) => {
    const box = element("input", { type: "checkbox", checked: filter.label.includes(label) });
    box.addEventListener("change", () => change(label, box.checked));
    return element("label", {}, box, ` ${label} `, element("small", { textContent: count.toLocaleString("en") }));
  }));
  const broken = $("broken");
  broken.hidden = !about.broken_count;
  broken.querySelector("summary").textContent = `${about.broken_count.toLocaleString("en")} cannot be read`;
  broken.querySelector("ul").replaceChildren(...about.broken.map(({ path, reason }) =>
    element("li", { textContent: `${path}: ${reason}` })));
}

export function drawProgress(progress) {
  $("progress").hidden = !progress;
  if (!progress) return;
  const { done, total, rate } = progress;
  const seconds = rate ? Math.round((total - done) / rate) : 0;
  const left = seconds > 90 ? `${Math.round(seconds / 60)} minutes` : `${seconds} seconds`;
  $("progress").textContent = `The index is being made: ${done.toLocaleString("en")} of ` +
    `${total.toLocaleString("en")} photos, ${rate.toFixed(1)} a second, ${left} left.`;
}

export function drawTicked(count) {
  $("ticked").hidden = !count;
  $("ticked").querySelector("output").textContent = `${count.toLocaleString("en")} ticked`;
}
