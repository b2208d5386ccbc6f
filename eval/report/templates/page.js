"use strict";
// Everything reads without this: it sorts tables and lets one clip play at a time.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const order = (row) => row.cells[column].dataset.order;
      const compare = (a, b) => {
        const [x, y] = [order(a), order(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        const difference = Number(x) - Number(y);
        return direction * (Number.isNaN(difference) ? x.localeCompare(y) : difference);
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}
document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);
