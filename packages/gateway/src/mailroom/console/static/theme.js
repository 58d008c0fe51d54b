// Before anything is painted: the colours that the person chose, else those of the system.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } };
  const paint = () => {
    const dark = chosen() === "dark" || (chosen() === "auto" && system.matches);
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
    document.dispatchEvent(new Event("theme"));
  };
  system.addEventListener("change", paint);
  addEventListener("storage", paint);
  paint();
  document.addEventListener("DOMContentLoaded", () => {
    for (const input of document.querySelectorAll("input[name=theme]")) {
      input.checked = input.value === chosen();
      input.addEventListener("change", () => {
        try { localStorage.setItem("theme", input.value); } catch { /* only for this page then */ }
        paint();
      });
    }
  });
})();
