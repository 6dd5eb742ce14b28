// Values of marks under the pointer, one segment in every picture and table, and tables that sort,
// filter, copy and download. Without it every value is in the tables, and pictures keep their titles.
(() => {
  const make = (tag, look, text) => {
    const one = document.createElement(tag);
    if (look) one.className = look;
    if (text) one.textContent = text;
    return one;
  };
  const button = (text, act) => {
    const one = make("button", "", text);
    one.type = "button";
    one.addEventListener("click", act);
    return one;
  };
  const namesOf = (one) => (one.dataset.names || "").split("|").filter(Boolean);

  // Pictures and rows ------------------------------------------------------------------------
  const marks = [...document.querySelectorAll(".mark")];
  const named = [...document.querySelectorAll("[data-names]")];
  const known = new Set(named.filter((one) => !one.matches(".mark")).flatMap(namesOf));
  const tip = make("div", "tip");
  tip.hidden = true;
  document.body.append(tip);
  marks.forEach((mark) => {
    const title = mark.querySelector("title");
    if (!title) return;
    mark.dataset.text = title.textContent;
    title.remove();
  });
  let pinned = "";
  function highlight(name) {
    named.forEach((one) => {
      const hit = Boolean(name) && namesOf(one).includes(name);
      const other = Boolean(name) && !hit && namesOf(one).some((each) => known.has(each));
      one.classList.toggle("hit", hit);
      one.classList.toggle("dim", other && one.matches(".mark"));
    });
  }
  const segmentOf = (one) => namesOf(one).find((name) => known.has(name)) || "";
  const over = (event) => event.target.closest && event.target.closest("[data-names]");
  document.addEventListener("pointerover", (event) => {
    const one = over(event);
    highlight(one ? segmentOf(one) || pinned : pinned);
    tip.hidden = !(one && one.dataset.text);
    if (!tip.hidden) tip.textContent = one.dataset.text;
  });
  document.addEventListener("pointermove", (event) => {
    if (tip.hidden) return;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 12, room))}px`;
    const below = event.clientY + 16;
    const above = event.clientY - tip.offsetHeight - 10;
    tip.style.top = `${below + tip.offsetHeight > innerHeight ? above : below}px`;
  });
  // A click keeps a segment highlighted, until the next one elsewhere.
  document.addEventListener("click", (event) => {
    if (event.target.closest("a, button, input, select, summary")) return;
    const one = over(event);
    pinned = one && segmentOf(one) !== pinned ? segmentOf(one) : "";
    highlight(pinned);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    pinned = "";
    tip.hidden = true;
    highlight("");
  });

  // Tables -----------------------------------------------------------------------------------
  const few = matchMedia("(max-width: 600px)").matches ? 4 : 10;
  const textOf = (row, place) => row.cells[place].textContent.trim();
  function valueOf(text) {
    const bare = text.replace(/,(?=\d{3}\b)/g, "").replace(/^< /, "");
    const found = bare.match(/^[-+]?\d+(\.\d+)?(?=%?$)/);
    return found ? Number(found[0]) : NaN;
  }
  function save(name, kind, content) {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([content], { type: kind }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  async function copy(text, said) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    said.textContent = "Copied";
    setTimeout(() => { said.textContent = "Copy"; }, 1500);
  }
  const lines = (table) => [...table.rows].map((row) =>
    [...row.cells].map((cell) => cell.textContent.trim()));
  function csvOf(table) {
    const cell = (text) => {
      const bare = /^[=+\-@\t]/.test(text) && Number.isNaN(valueOf(text)) ? `'${text}` : text;
      return /[",\n]/.test(bare) ? `"${bare.replaceAll('"', '""')}"` : bare;
    };
    return lines(table).map((row) => row.map(cell).join(",")).join("\r\n");
  }
  const nameOf = (table) => {
    const words = table.caption ? table.caption.textContent : "table";
    return words.trim().toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "_").replace(/^_|_$/g, "") || "table";
  };
  function toolsOf(box) {
    const tools = make("p", "tools no-print");
    const link = box.parentElement.querySelector(":scope > .segkit-link");
    if (link) {
      link.classList.add("tools");
      return link;
    }
    box.after(tools);
    return tools;
  }
  document.querySelectorAll("table.segkit").forEach((table) => {
    const body = table.tBodies[0];
    if (!body || !table.tHead) return;
    const first = [...body.rows];
    let whole = first.length <= few, sought = "";
    const more = button("", () => { whole = !whole; show(); });
    function show() {
      let shown = 0;
      [...body.rows].forEach((row) => {
        const fits = row.textContent.toLowerCase().includes(sought);
        shown += fits ? 1 : 0;
        row.hidden = !fits || (!whole && !sought && shown > few);
      });
      more.hidden = first.length <= few || Boolean(sought);
      more.textContent = whole ? `First ${few} rows` : `All ${first.length} rows`;
    }
    if (first.length > 2) {
      [...table.tHead.rows[0].cells].forEach((head, place) => {
        const words = head.textContent;
        if (!words.trim()) return;
        const sorter = button(words, () => {
          const was = head.getAttribute("aria-sort");
          [...table.tHead.rows[0].cells].forEach((each) => each.removeAttribute("aria-sort"));
          const next = { ascending: "descending", descending: "" }[was] ?? "ascending";
          if (next) head.setAttribute("aria-sort", next);
          const way = next === "descending" ? -1 : 1;
          const order = next ? [...first].sort((one, other) => {
            const [a, b] = [textOf(one, place), textOf(other, place)];
            const [x, y] = [valueOf(a), valueOf(b)];
            if (Number.isNaN(x) || Number.isNaN(y)) {
              if (!Number.isNaN(x)) return -1;
              if (!Number.isNaN(y)) return 1;
              return way * a.localeCompare(b);
            }
            return way * (x - y);
          }) : first;
          body.append(...order);
          show();
        });
        sorter.className = "sort";
        head.replaceChildren(sorter);
      });
    }
    // On a phone a wide table becomes a list: each cell then says what it is.
    const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent.trim());
    if (heads.length > 3) {
      table.classList.add("reflow");
      first.forEach((row) => [...row.cells].forEach((cell, place) => {
        cell.dataset.label = heads[place];
      }));
    }
    const tools = toolsOf(table.closest(".wide") || table);
    const copier = button("Copy", () => {
      copy(lines(table).map((row) => row.join("\t")).join("\n"), copier);
    });
    tools.append(copier, button("Download", () => {
      save(`${nameOf(table)}.csv`, "text/csv", "\ufeff" + csvOf(table));
    }));
    if (first.length > few) {
      const filter = make("input");
      filter.type = "search";
      filter.placeholder = "Filter rows";
      filter.setAttribute("aria-label", `Filter rows: ${table.caption ? table.caption.textContent : "table"}`);
      filter.addEventListener("input", () => { sought = filter.value.trim().toLowerCase(); show(); });
      tools.prepend(more, filter);
    }
    show();
  });
  document.querySelectorAll(".segkit-figure > svg:not(.on-narrow)").forEach((picture) => {
    const link = picture.closest(".output")?.querySelector(".segkit-link");
    if (!link) return;
    const name = (link.querySelector("a")?.getAttribute("href") || "figure").split("/").pop().replace(/\.\w+$/, "");
    link.classList.add("tools");
    link.append(button("Download picture", () => {
      const text = new XMLSerializer().serializeToString(picture);
      save(`${name}.svg`, "image/svg+xml", text.replace(/; (?:fill|stroke): light-dark\([^)]*\)/g, ""));
    }));
  });
})();
