// What the type checker cannot know of the page: the elements of index.html by id, and what selectors find.

/** Elements of index.html that are more than an HTMLElement. */
interface PageElements {
  bar: HTMLProgressElement;
  cancel: HTMLButtonElement;
  code: HTMLDetailsElement;
  "compare-cancel": HTMLButtonElement;
  comparing: HTMLDetailsElement;
  "field-model": HTMLSelectElement;
  "image-file": HTMLInputElement;
  "key-value": HTMLInputElement;
  "mask-file": HTMLInputElement;
  picture: HTMLCanvasElement;
  redo: HTMLButtonElement;
  size: HTMLInputElement;
  source_prompt: HTMLTextAreaElement;
  strengths: HTMLInputElement;
  target_prompt: HTMLTextAreaElement;
  undo: HTMLButtonElement;
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
