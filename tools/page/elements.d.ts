// What the type checker cannot know of the page: the elements of index.html by id, and what selectors find.

/** Elements of index.html that are more than an HTMLElement. */
interface PageElements {
  advanced: HTMLDetailsElement;
  amount: HTMLInputElement;
  apart: HTMLCanvasElement;
  bar: HTMLProgressElement;
  cancel: HTMLButtonElement;
  code: HTMLDetailsElement;
  "compare-cancel": HTMLButtonElement;
  comparing: HTMLDetailsElement;
  difference: HTMLButtonElement;
  feather: HTMLInputElement;
  "field-model": HTMLSelectElement;
  "find-words": HTMLInputElement;
  "find-edit": HTMLInputElement;
  "find-setting": HTMLInputElement;
  "find-state": HTMLSelectElement;
  hold: HTMLButtonElement;
  "image-file": HTMLInputElement;
  instruction: HTMLInputElement;
  "key-value": HTMLInputElement;
  "mask-file": HTMLInputElement;
  outline: HTMLCanvasElement;
  picture: HTMLImageElement;
  recipe: HTMLSelectElement;
  redo: HTMLButtonElement;
  "reset-all": HTMLButtonElement;
  side: HTMLButtonElement;
  size: HTMLInputElement;
  slide: HTMLInputElement;
  source_prompt: HTMLTextAreaElement;
  strengths: HTMLInputElement;
  target_prompt: HTMLTextAreaElement;
  tint: HTMLInputElement;
  undo: HTMLButtonElement;
  "view-result": HTMLButtonElement;
}

interface ParentNode {
  // The page looks for form fields and pictures; an HTMLInputElement has what it uses of both.
  querySelector(selectors: string): HTMLInputElement | null;
  querySelectorAll(selectors: string): NodeListOf<HTMLInputElement>;
}

interface EventTarget {
  closest?(selectors: string): HTMLElement | null;
}

interface Window {
  SwaggerUIBundle(options: object): unknown;
}
