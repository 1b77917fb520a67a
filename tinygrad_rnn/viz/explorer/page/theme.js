// Light or dark: what the system prefers, until the reader chooses. Nothing is stored.
const Theme = (() => {
  function make(changed) {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const toggle = () => { root.dataset.theme = isDark() ? "light" : "dark"; changed(); };
    system.addEventListener("change", changed);
    Dom.byId("theme").addEventListener("click", toggle);
    return { toggle, isDark };
  }

  return { make };
})();
