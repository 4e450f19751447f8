"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // A number at the start of a cell, whatever minus it has; NaN where there is none.
  const numberOf = (text) => parseFloat(text.replace(/,/g, "").replace("−", "-").replace(/^[<×[]\s*/, ""));

  function sortable(table) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 3) return;
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.classList.contains("graph") || !head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        // Numbers are looked at from the largest on, words from A on; the third press gives back the order of the page.
        const text = (row) => row.cells[column].textContent.trim();
        const numeric = rows.every((row) => ["", "–"].includes(text(row)) || !Number.isNaN(numberOf(text(row))));
        const turns = numeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
        const next = turns[(turns.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
        heads.forEach((other) => other.hasAttribute("aria-sort") && other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", next);
        const known = rows.filter((row) => !["", "–"].includes(text(row)));
        const unknown = rows.filter((row) => ["", "–"].includes(text(row)));
        const compare = (a, b) => numeric ? numberOf(text(a)) - numberOf(text(b)) : text(a).localeCompare(text(b), "en", { numeric: true });
        known.sort((a, b) => (next === "descending" ? -1 : 1) * compare(a, b));
        body.append(...(next === "none" ? rows : [...known, ...unknown]));
      });
    });
  }

  function readable(plot) {
    const chart = plot.querySelector("svg.chart");
    const groups = [...chart.querySelectorAll(".at")];
    if (!groups.length) return;
    const places = groups.map((group) => parseFloat(group.getAttribute("x")));
    const cross = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cross.setAttribute("class", "cross");
    cross.setAttribute("y2", chart.dataset.height);
    const tip = document.createElement("div");
    tip.className = "tip";
    const said = document.createElement("span");
    said.className = "unseen";
    said.setAttribute("aria-live", "polite");
    plot.append(said);
    let at = -1;

    function show(i) {
      at = i;
      const group = groups[i];
      const title = document.createElement("strong");
      title.textContent = group.dataset.name;
      const lines = [...group.children].map((mark) => {
        const line = document.createElement("div");
        line.className = mark.getAttribute("class");
        line.textContent = mark.querySelector("title").textContent;
        return line;
      });
      tip.replaceChildren(title, ...lines);
      cross.setAttribute("x1", places[i] + "%");
      cross.setAttribute("x2", places[i] + "%");
      chart.append(cross);
      plot.append(tip);
      const { left, width } = inner();
      const x = left + (width * places[i]) / 100;
      const room = plot.clientWidth - tip.offsetWidth;
      tip.style.left = Math.max(0, Math.min(x > plot.clientWidth / 2 ? x - tip.offsetWidth - 12 : x + 12, room)) + "px";
      tip.style.top = "28px";
    }
    function hide() {
      at = -1;
      tip.remove();
      cross.remove();
    }
    function inner() {
      const style = getComputedStyle(chart);
      const left = parseFloat(style.paddingLeft);
      return { left, width: chart.clientWidth - left - parseFloat(style.paddingRight) };
    }
    chart.addEventListener("pointermove", (event) => {
      const { left, width } = inner();
      const x = (100 * (event.clientX - chart.getBoundingClientRect().left - left)) / width;
      let nearest = 0;
      places.forEach((place, i) => { if (Math.abs(place - x) < Math.abs(places[nearest] - x)) nearest = i; });
      show(nearest);
    });
    chart.addEventListener("pointerleave", hide);
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", "Chart. Arrow keys read its values.");
    plot.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at < 0 ? groups.length - 1 : at - 1, Home: 0, End: groups.length - 1 }[event.key];
      if (event.key === "Escape") hide();
      if (to === undefined) return;
      event.preventDefault();
      show(Math.max(0, Math.min(to, groups.length - 1)));
      said.textContent = [...tip.children].map((line) => line.textContent).join(". ");
    });
    plot.addEventListener("blur", hide);
  }

  // What is pointed at in a legend stands out from the others.
  function telling(figure) {
    figure.querySelectorAll(".legend li[data-own]").forEach((entry) => {
      const faint = (on) => figure.querySelectorAll(".chart .line, .chart .band, .at > g").forEach(
        (mark) => mark.classList.toggle("faint", on && !mark.classList.contains(entry.dataset.own)));
      entry.addEventListener("pointerenter", () => faint(true));
      entry.addEventListener("pointerleave", () => faint(false));
    });
  }

  function copied(button) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.of).textContent;
      try { await navigator.clipboard.writeText(text); button.textContent = "copied"; } catch { button.textContent = "select and copy"; }
    });
  }

  function contents() {
    const links = new Map([...document.querySelectorAll("nav.wide a")].map((link) => [link.hash.slice(1), link]));
    const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
      if (!entry.isIntersecting) return;
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }), { rootMargin: "-10% 0px -75% 0px" });
    document.querySelectorAll("section[id]").forEach((section) => seen.observe(section));
  }

  function turned(button) {
    const name = () => { button.textContent = dark ? "Light" : "Dark"; };
    button.hidden = false;
    name();
    button.addEventListener("click", () => { dark = !dark; root.style.colorScheme = dark ? "dark" : "light"; name(); });
  }
  let dark = matchMedia("(prefers-color-scheme: dark)").matches;

  // Whoever puts parts of a newer page in the place of this one's calls it again: what is new is made alive, the rest is.
  window.enlivenReport = () => {
    const each = (selector, act) => document.querySelectorAll(`${selector}:not([data-alive])`).forEach((one) => {
      one.dataset.alive = "";
      act(one);
    });
    each("table.sortable", sortable);
    each(".plot", readable);
    each("figure", telling);
    each("button.copy", copied);
    each("#theme", turned);
    each("nav.narrow a", (link) => link.addEventListener("click", () => { link.closest("details").open = false; }));
    each("main", contents);
  };
  window.enlivenReport();
})();
