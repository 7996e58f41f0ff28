// What can be undone: strokes, regions, words, settings, pictures, one line of steps for all of them.

import { emit } from "../shared/state.js";

const STEPS = 100;
const BYTES = 200e6; // that the steps may take

const past = [];
let future = [];
let together = null; // the steps of one action

export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;

/** Keep a step: {undo, redo, bytes}. */
export function push(step) {
  if (together) {
    together.push(step);
    return;
  }
  past.push(step);
  future = [];
  let bytes = past.reduce((sum, each) => sum + (each.bytes ?? 0), 0);
  while (past.length > STEPS || (bytes > BYTES && past.length > 1)) bytes -= past.shift().bytes ?? 0;
  emit("steps");
}

/** What `work` does is one step. */
export function asOne(work) {
  const outer = together;
  const steps = [];
  together = steps;
  try {
    work();
  } finally {
    together = outer;
    if (steps.length) {
      push({
        undo: () => steps.toReversed().forEach((step) => step.undo()),
        redo: () => steps.forEach((step) => step.redo()),
        bytes: steps.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0),
      });
    }
  }
}

export function undo() {
  emit("settle");
  const step = past.pop();
  if (!step) return;
  future.push(step);
  step.undo();
  emit("undone");
  emit("steps");
}

export function redo() {
  emit("settle");
  const step = future.pop();
  if (!step) return;
  past.push(step);
  step.redo();
  emit("steps");
}
