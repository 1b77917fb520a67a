// The page's state in one place; whoever shows a part of it subscribes.
const Store = (() => {
  function make(initial) {
    let state = Object.freeze({ ...initial });
    const listeners = [];
    return {
      get: () => state,
      set(patch) {
        const before = state;
        const changed = Object.keys(patch).filter((key) => patch[key] !== before[key]);
        if (!changed.length) return;
        state = Object.freeze({ ...before, ...patch });
        for (const { keys, listener } of listeners) if (changed.some((key) => keys.includes(key))) listener(state, before);
      },
      on: (keys, listener) => { listeners.push({ keys, listener }); },
    };
  }

  // The node that the reader looks at: under the mouse, else chosen, else the one of the current step.
  function focus(model, state) {
    if (state.hovered !== null) return state.hovered;
    if (state.selected !== null) return state.selected;
    const now = Stepper.at(model, state.position);
    if (now.phase === "backward") return model.edges[now.edge].parent;
    return now.node === undefined ? null : now.node;
  }

  return { make, focus };
})();
