// Local times, the menu of narrow screens, notices, and manners for htmx. Everything else is HTML.
(() => {
  const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const precise = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

  function localize(root) {
    for (const time of root.querySelectorAll("time[data-local]")) {
      const at = new Date(time.dateTime);
      const today = at.toDateString() === new Date().toDateString();
      const short = time.dataset.local ? precise : clock;
      time.title = time.textContent;
      time.textContent = today ? short.format(at) : day.format(at);
      time.removeAttribute("data-local");
    }
  }

  function notice(text, tone) {
    const line = document.createElement("div");
    line.className = `toast-line ${tone}`;
    line.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn-close";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", () => line.remove());
    line.append(close);
    document.getElementById("notices").append(line);
    if (tone === "good") setTimeout(() => line.remove(), 6000);
  }

  document.addEventListener("DOMContentLoaded", () => {
    localize(document);
    const button = document.querySelector(".menu-button");
    button?.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      document.body.classList.toggle("menu-open", open);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && button?.getAttribute("aria-expanded") === "true") { button.click(); button.focus(); }
    });
  });

  // <button data-copy="text">, <button data-copy-from="#id">
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const from = button.dataset.copyFrom && document.querySelector(button.dataset.copyFrom);
    try {
      await navigator.clipboard.writeText(from ? (from.value ?? from.textContent) : button.dataset.copy);
      notice("Copied.", "good");
    } catch { notice("The browser does not allow copying here; select the text and copy it yourself.", "bad"); }
  });

  // <button data-open="#id"> and <button data-close> for <dialog>
  document.addEventListener("click", (event) => {
    const open = event.target.closest("[data-open]");
    if (open) document.querySelector(open.dataset.open)?.showModal();
    event.target.closest("[data-close]")?.closest("dialog")?.close();
  });

  // What works step by step can be stopped between two steps: <button data-stop="#place">
  document.addEventListener("click", (event) => {
    const place = event.target.closest("[data-stop]") && document.querySelector(event.target.closest("[data-stop]").dataset.stop);
    if (!place) return;
    htmx.trigger(place.querySelector("[hx-post]"), "htmx:abort");
    const said = document.createElement("p");
    said.className = "working";
    said.textContent = `Stopped after ${place.querySelector("strong").textContent}; the step that was under way may have added some.`;
    place.replaceChildren(said);
  });

  // Times in a form are meant in the reader's zone.
  document.addEventListener("submit", (event) => {
    const zone = event.target.querySelector("[data-zone]");
    if (!zone) return;
    zone.value = String(new Date().getTimezoneOffset());
    for (const input of event.target.querySelectorAll("input, select")) if (input.name && !input.value) input.disabled = true;
    if (!event.target.querySelector("[type=datetime-local]:enabled")) zone.disabled = true;
  });
  addEventListener("pageshow", () => { for (const input of document.querySelectorAll("[role=search] :disabled")) input.disabled = false; });

  document.addEventListener("htmx:afterSwap", (event) => localize(event.detail.target ?? document));
  document.addEventListener("htmx:oobAfterSwap", (event) => localize(event.detail.target ?? document));
  // What refreshes itself rests while nobody looks.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches("[data-live]")) event.preventDefault();
  });
  let lost = false;
  document.addEventListener("htmx:responseError", (event) => notice(event.detail.xhr.responseText.slice(0, 500) || "This did not work.", "bad"));
  document.addEventListener("htmx:sendError", () => {
    if (!lost) notice("Mailroom does not answer. This page goes on by itself as soon as it does.", "bad");
    lost = true;
    document.body.classList.add("lost");
  });
  document.addEventListener("htmx:afterOnLoad", () => {
    if (lost) notice("Mailroom answers again.", "good");
    lost = false;
    document.body.classList.remove("lost");
  });
  // An answer may say something: HX-Trigger: {"notice": {"text": "...", "tone": "good"}}
  document.addEventListener("notice", (event) => notice(event.detail.text, event.detail.tone || "good"));
})();
