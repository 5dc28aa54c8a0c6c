// Copies, groups and labels: sets of photos, to be ticked and labelled.

import { element } from "./view.js";

// Draws sets of photos; `tick` is told of each photo that is ticked or no more.
export function drawPiles(place, sets, ticked, { tick, suggest, search }) {
  place.replaceChildren(...sets.map((set) => {
    const boxes = [];
    const photos = set.photos.map((photo) => {
      const name = photo.path.split("/").pop();
      const box = element("input", { type: "checkbox", className: "tick", checked: ticked.has(photo.photo) });
      box.setAttribute("aria-label", `Tick ${name}`);
      box.addEventListener("change", () => tick(photo, box.checked));
      boxes.push([box, photo]);
      const picture = element("img", { src: `/thumbnail/${photo.photo}`, alt: name, loading: "lazy" });
      const open = element("button", { type: "button", className: "picture", title: photo.path }, picture);
      open.addEventListener("click", () => search(photo));
      return element("li", {}, open, box, element("p", { textContent: photo.caption }));
    });
    const chosen = set.photos.filter((photo) => photo.chosen);
    const some = element("button", { type: "button" });
    const all = !chosen.length || chosen.length === set.photos.length;
    some.textContent = all ? "Tick all" : `Tick ${chosen.length} of them`;
    some.addEventListener("click", () => {
      for (const [box, photo] of boxes) {
        if (!all && !photo.chosen) continue;
        box.checked = true;
        tick(photo, true);
      }
      if (set.label) suggest(set.label);
    });
    const title = element("h2", { textContent: set.title });
    return element("section", { className: "pile" }, title, some, element("ul", {}, ...photos));
  }));
}
