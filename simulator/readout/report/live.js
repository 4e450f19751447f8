"use strict";
(() => {
  const SOON_MS = 2000, LATER_MS = 5000;
  const bar = document.getElementById("live");
  let stamp = bar.dataset.stamp;

  function show(state) {
    const time = bar.querySelector("time");
    const said = bar.querySelector("span");
    if (said.textContent !== state.said) said.textContent = state.said;
    bar.dataset.status = state.status;
    if (state.changed) {
      time.dateTime = state.changed;
      time.textContent = "at " + new Date(state.changed).toLocaleTimeString();
    } else time.textContent = "";
  }

  // What a reader has opened or sorted is found again by its section and its words, in which only numbers change.
  const key = (node) => [node.closest("section")?.id, node.querySelector("summary, caption")?.textContent.replace(/[\d.,−–%]+/g, "#")].join(" ");
  const reachable = () => [...document.querySelectorAll("main a, main button, main summary, main [tabindex]")];

  function remember() {
    const open = [...document.querySelectorAll("main details[open]")].map(key);
    const sorted = [...document.querySelectorAll("main th[aria-sort]:not([aria-sort=none])")]
      .map((head) => [key(head.closest("table")), head.cellIndex, head.getAttribute("aria-sort")]);
    const focused = reachable().indexOf(document.activeElement);
    const x = scrollX, y = scrollY;
    return () => {
      document.querySelectorAll("main details").forEach((details) => { details.open = open.includes(key(details)); });
      const tables = [...document.querySelectorAll("main table.sortable")];
      sorted.forEach(([of, column, way]) => {
        const head = tables.find((table) => key(table) === of)?.tHead.rows[0].cells[column];
        for (let turn = 0; turn < 2 && head?.hasAttribute("aria-sort") && head.getAttribute("aria-sort") !== way; turn++) head.querySelector("button").click();
      });
      if (focused >= 0) reachable()[focused]?.focus({ preventScroll: true });
      scrollTo({ left: x, top: y, behavior: "instant" });
    };
  }

  function swap(text) {
    const next = new DOMParser().parseFromString(text, "text/html");
    const restore = remember();
    ["main", "nav.wide ul", "nav.narrow ul", "header div"].forEach((part) => {
      const [mine, its] = [document.querySelector(part), next.querySelector(part)];
      if (mine && its) mine.replaceWith(document.importNode(its, true));
    });
    document.title = next.title;
    stamp = next.getElementById("live").dataset.stamp;
    window.enlivenReport();
    restore();
  }

  async function look() {
    let wait = LATER_MS;
    try {
      const state = await (await fetch("state", { cache: "no-store" })).json();
      if (state.stamp !== stamp) swap(await (await fetch("./", { cache: "no-cache" })).text());
      show(state);
      if (state.status === "running" || state.status === "unreadable") wait = SOON_MS;
    } catch {
      show({ status: "gone", said: "nobody serves this page any more; it stays as it was" });
    }
    setTimeout(look, wait);
  }
  look();
})();
