// Every text of the page, to be translated in one place. What the contract says of a setting is the service's own.

const percent = (value) => `${value} %`;
const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

const WARNINGS = {
  poor_reconstruction:
    "The model cannot redraw this area of your picture, even without an edit. Expect a smear. Use a model trained on pictures like yours.",
  no_guidance_effect: "Guidance changed hardly anything here. Try more strength.",
  likely_to_fail:
    "The model does not see these words inside the mask. This edit will probably fail. Use a larger mask or other words.",
  no_effect: "Almost nothing changed inside the mask. Try more strength.",
  safety: "The model's safety filter flagged this result. Review it before you share it.",
  reading_unsure: "It is not clear which words belong to the mask. Check the words above.",
  words_left_out: "There are too many new words. Some of them were left out.",
  weights_unused: "The weights in the second description have no effect with this method.",
};

/** @type {[RegExp, (value: string) => string][]} */
const BOUNDS = [
  [/less than or equal to ([\d.]+)/, (value) => `Use ${value} or less.`],
  [/greater than or equal to ([\d.]+)/, (value) => `Use ${value} or more.`],
  [/valid (integer)/, () => "Use a whole number."],
  [/valid (number)/, () => "Use a number."],
];

/** What the service says of an edit and its fields, in the words of somebody who wants a picture. */
const PROBLEMS = {
  prompt_too_long: (said) => {
    const [, tokens, most] = /has (\d+) tokens, the model accepts (\d+)/.exec(said) ?? [];
    return tokens ? text.errors.tooLong(tokens, most) : said;
  },
  prompt_not_supported: (said) => {
    const [, words] = /does not know:? ([^;.:(]+)/.exec(said) ?? [];
    return words ? `The model does not know: ${words.trim()}` : said;
  },
  word_not_in_target_prompt: (said) => {
    const [, word] = /'(.+?)' is not a whole word/.exec(said) ?? [];
    return word ? `'${word}' is not in the description after the edit` : said;
  },
  invalid_request: (said) => {
    for (const [pattern, plain] of BOUNDS) {
      const [, value] = pattern.exec(said) ?? [];
      if (value) return plain(value);
    }
    return said;
  },
  no_edit_words: () => "Nothing is new in the second description. Change it, or write the words of the region.",
  nothing_found: () => "Nothing was found there. Click somewhere else, or use other words.",
  no_finder: () => "This model cannot locate things this way. Paint the area instead.",
  mask_empty: () => "The mask is empty. Paint the area to change.",
  worker_lost: () => "The edit could not be finished. Try again.",
  hopeless: () => "The edit was stopped because it would have failed. Use a larger mask or other words.",
  edit_diverged: () => "The edit went wrong. Use less strength.",
  picture_not_finite: () => "The model could not draw a picture. Try another seed or less strength.",
};

export const text = {
  skip: "Skip to the descriptions",
  close: "Close",
  open: "Open",
  copied: "Copied",
  nav: { label: "Pages", recent: "Recent edits", api: "API" },
  units: {
    seconds: (value) => `${value} s`,
    minutes: (value) => `${value} min`,
    hours: (value) => `${value} h`,
    pixels: (value) => `${value} px`,
    percent,
  },
  key: {
    why: "This service asks for an API key.",
    label: "API key",
    use: "Use this key",
    kept: "The key is kept until this tab is closed.",
    forget: "Forget the key",
  },
  model: {
    ready: (name, device) => `Model: ${name} (${device})`,
    none: (name) => `No worker is running for '${name}'`,
    purpose: (name, domain) => `The model '${name}' is made for ${domain}.`,
    photographs: "For photographs, connect another checkpoint.",
    smear: "Photographs come back smeared. If this is one, connect another checkpoint first.",
    connect: "How to connect a checkpoint",
  },
  source: {
    file: "Picture",
    drop: "Drop a picture here",
    paste: "or paste one",
    choose: "Choose a picture",
    another: "Another picture",
    scenes: "Or try a scene of the demo",
    resultOf: (id) => `Result of ${id}`,
    size: (name, width, height) => `${name}, ${width} × ${height}`,
  },
  drafts: { title: "Continue a draft" },
  stage: {
    title: "Picture",
    views: "What is shown",
    mask: "Mask",
    result: "Result",
    label: "Mask",
    picture: "The picture to edit",
  },
  undo: { label: "Undo and redo", undo: "Undo", undoKey: "Undo (Ctrl Z)", redo: "Redo", redoKey: "Redo (Ctrl Shift Z)" },
  zoom: {
    label: "Zoom",
    out: "Zoom out",
    outKey: "Zoom out (−)",
    in: "Zoom in",
    inKey: "Zoom in (+)",
    fitKey: "Show all (0)",
  },
  tools: {
    label: "Tool",
    select: "Select",
    selectKey: "Select a thing by a click (S)",
    brush: "Brush",
    brushKey: "Brush (B)",
    eraser: "Eraser",
    eraserKey: "Eraser (E)",
    lasso: "Lasso",
    lassoKey: "Lasso (L)",
    polygon: "Polygon",
    polygonKey: "Polygon (P)",
    box: "Box",
    boxKey: "Box (R)",
    move: "Move",
    moveKey: "Move the picture (M)",
    size: "Size",
  },
  mask: {
    file: "Mask",
    edge: "Edge of the mask",
    amount: "Pixels to grow or shrink by",
    grow: "Grow",
    shrink: "Shrink",
    invert: "Invert",
    clear: "Clear",
    load: "Load mask",
    loaded: "Mask loaded",
    tint: "Tint",
    feather: "Feather",
    featherHint: "How gradually the edit begins at the edge of the mask",
  },
  find: {
    kind: "What a click means",
    with: "This",
    without: "Not this",
    first: "Click on the thing first, then on what does not belong to it.",
    words: "Words for a thing, such as left sofa",
    byWordsAlone: "This model finds things by words, not by clicks. Say what to select.",
    find: "Find",
    asking: "Looking for it",
    found: "Found",
    other: (number, count) => `Another one (${number} of ${count})`,
  },
  help: {
    title: "Keys and gestures",
    keys:
      "Wheel: zoom at the pointer. Space and drag, or two fingers: move; two fingers also zoom. Keys: B, E, L, P, R, M (and S) choose the tool, [ and ] (or comma and full stop) its size, + and − zoom, 0 shows all, Ctrl Z undoes, Ctrl Shift Z redoes. Without a mouse: arrows move the brush, with Shift by one pixel; Space puts it down and lifts it, or sets a corner of a polygon; Enter closes the polygon; Escape cancels. With a result: hold C to see the picture before, arrows move the slider.",
  },
  ask: {
    title: "Edit",
    sentence: "Say it in one sentence (optional)",
    sentenceExample: "make the left sofa blue",
    read: "Fill in",
    wasRead: "The descriptions were filled in",
    source: "Before the edit (describe the picture)",
    sourceExample: "a room with a red carpet",
    target: "After the edit",
    targetExample: "a room with a yellow carpet",
    instruction: "Instruction",
    copy: "Copy from above",
    submit: "Edit the picture",
    accepted: "The edit was accepted",
  },
  reading: {
    unknown: "The model does not know this word",
    same: "Both descriptions are the same. Change the second one.",
    nothingNew: "Nothing is new in the second description. Change it, or write the words of the region.",
    noWords: "No words are needed with this method.",
    notFound: (word) => `${word} (not in the second description)`,
    applied: (guided, region) => {
      const what = guided ? "Applied here:" : "Words, without guidance:";
      return region ? `Region ${region}. ${what}` : what;
    },
    facts: (kind, passes) => `Kind of edit: ${KINDS[kind] ?? kind}. Cost: about ${passes} passes.`,
  },
  regions: {
    title: "Regions",
    name: (number) => `Region ${number}`,
    words: "Words (empty: what is new)",
    wordsOf: (number) => `Words to apply in region ${number}, separated by commas`,
    hint: "Words to apply in this region, separated by commas. Empty: what is new in the second description.",
    add: "Add a region",
    remove: (number) => `Remove region ${number}`,
    show: (number) => `Show region ${number}`,
    hide: (number) => `Hide region ${number}`,
    empty: "nothing painted",
    little: "less than 0.1 %",
  },
  settings: {
    title: "Settings",
    plain: {
      preset: {
        title: "Quality or speed",
        hint: "Best quality takes several times as long.",
        choices: { exact: "Best quality", balanced: "Balanced", fast: "Fast", turbo: "Fastest" },
      },
      strength: { title: "Strength", hint: "How strongly the edit is applied." },
      n: { title: "Variations", hint: "Results with different seeds." },
      seed: { title: "Seed", hint: "Another seed gives another result; 0 stays closest to your picture." },
    },
    advanced: "Advanced",
    changed: (number) => `${number} changed`,
    find: "Find a setting",
    none: "No setting matches.",
    resetAll: "Reset all",
    reset: (name) => `Reset ${name}`,
    dice: "Random seed",
    general: "The edit as a whole",
    all: "All methods",
    several: "Several methods",
    ofMethod: (name) => `Method ${name}`,
    ofInversion: (name) => `Inversion ${name}`,
    unread: (method) => `Not used by ${method}.`,
    unsuited: (why) => `Not for this model: ${why}.`,
    unset: "default",
    usual: (value) => (value === "" ? "default" : `default (${value})`),
    defaultModel: (name) => `${name} (default)`,
    preset: (least, most, value = null) => {
      const range = most === null || most === "" ? `${least} or more` : `${least}-${most}`;
      return value === null ? `preset default (${range})` : `preset default ${value} (${range})`;
    },
    list: "separated by commas",
  },
  recipes: {
    label: "Saved settings",
    none: "Saved settings",
    name: "Name for these settings",
    save: "Save settings",
    remove: "Delete saved settings",
  },
  compare: {
    title: "Compare methods and strengths",
    result: "Comparison",
    methods: "Methods",
    strengths: "Strengths",
    hint: "0 to 1, separated by commas. Methods without guidance have one result.",
    start: "Compare",
    cancel: "Cancel",
    choose: "Choose a method.",
    count: (edits, results) => `${count(edits, "edit", "edits")}, ${count(results, "result", "results")}`,
    wrong: (most) => `Write 1 to ${most} numbers from 0 to 1, separated by commas.`,
    accepted: "The edits were accepted",
    complete: "The comparison is complete",
  },
  code: {
    title: "As code",
    hint: "The edit as it is set now. Put the picture and the masks beside it.",
    copyCurl: "Copy curl",
    copyPython: "Copy Python",
    save: (name) => `Save ${name}`,
    selected: "Selected. Copy it with Ctrl C.",
  },
  progress: {
    label: "Progress of the edit",
    outage: "The connection is lost. The edit goes on. Trying again …",
    cancel: "Cancel",
    canceling: "Canceling …",
    left: (time) => `about ${time} left`,
    starting: "Starting",
    waiting: (position, isWithoutWorker) => {
      if (isWithoutWorker) return "Waiting for a worker";
      if (position === null) return "Waiting in line";
      return position ? `Waiting: ${count(position, "edit", "edits")} before this one` : "Waiting: next in line";
    },
    stages: {
      read: "Reading the instruction",
      find: "Finding the mask",
      prepare: "Preparing",
      invert: "Reading the picture",
      optimize: "Refining",
      edit: "Editing",
      decode: "Finishing",
    },
    step: (step, steps) => `, step ${step} of ${steps}`,
    attempt: (number) => ` (attempt ${number})`,
  },
  states: {
    any: "All states",
    queued: "Waiting",
    running: "Running",
    succeeded: "Finished",
    failed: "Failed",
    canceled: "Canceled",
    told: {
      succeeded: "The result is ready",
      failed: "The edit failed",
      canceled: "The edit was canceled",
    },
    gone: "This edit was deleted.",
    canceledEdit: "This edit was canceled.",
    failedEdit: "The edit failed",
  },
  result: {
    before: "The picture before",
    after: "The result",
    preview: (step, steps) => `preview, step ${step} of ${steps}`,
    beforeTag: "before",
    afterTag: "after",
    changed: "What changed",
    slide: "Before and after",
    shares: (before) => `${before} % before, ${100 - before} % after`,
    hold: "Hold for before",
    holdKey: "Hold C to see the picture before",
    side: "Side by side",
    difference: "Difference",
    share: (share, gain) => `${share} % of the pixels changed. The difference is shown ${gain} times amplified.`,
    noBefore: "This browser does not have the picture before the edit.",
    warnings: "Please note",
    several: "Results",
    strength: (value) => `strength ${value}`,
    seed: (value) => `seed ${value}`,
    number: (value) => `result ${value}`,
    bars: "Bars: attention inside the mask (token ratio above, spatial ratio below).",
    further: "Edit further",
    again: "Edit again",
    copy: "Copy",
    download: "Download",
    downloadAll: "Download all",
    copied: "The result was copied.",
    noClipboard: "This browser does not let the page copy pictures. Right-click the result to copy it.",
    chain: "Steps that led here",
    step: (number, isThis) => (isThis ? `Step ${number} (this one)` : `Step ${number}`),
  },
  again: {
    done: "The edit is back in the editor",
    noPicture: "This browser does not have the picture and the mask of that edit. Words and settings are back.",
  },
  details: { title: "Details of this result" },
  attention: {
    title: "Attention",
    without: (n) => `Region ${n + 1}: where its words look without guidance`,
    with: (n) => `Region ${n + 1}: where its words look with guidance`,
    steps: (n) => `Region ${n + 1}: without and with guidance, step by step`,
    difference: "Difference, amplified",
    crop: "Working area",
    files: "Files: ",
    gone: "This picture is no longer stored.",
  },
  plot: {
    kinds: { token: "Token ratio, step by step", spatial: "Spatial ratio, step by step" },
    step: (number) => `step ${number}`,
    before: "before",
    after: "after",
    range: (first, last) => `from ${first} to ${last}`,
  },
  measures: {
    title: "Attention inside the mask",
    bar: (kind, value) => `${RATIOS[kind]} ${value}`,
    ratio: (words, kind) => `${words}: ${RATIOS[kind]}`,
    unguided: "without guidance",
    before: "before each step’s updates",
    after: "with guidance",
    facts: {
      outside: "Largest change outside the mask",
      reconstruction: "Picture redrawn without an edit",
      passes: "UNet passes",
      time: "Time",
      model: "Model",
      method: "Method",
      strength: "Strength",
      seed: "Seed",
      inversion: "Inversion",
      attempts: "Attempts",
    },
    levels: (value) => (value ? `${value} of 255 levels` : "none"),
    passes: (all, backward) => `${all} (${backward} backward)`,
    method: ({ method, constraint, steps }) => `${method}, ${constraint}, ${steps} steps`,
    reused: "reused",
    decibels: (vae, inversion) => `${vae} dB through the VAE, ${inversion} dB through the inversion`,
  },
  recent: {
    title: "Recent edits",
    find: "Find an edit",
    state: "State",
    none: "No edits yet.",
    noMatch: "No edit matches.",
    older: "Older edits",
    name: "Name",
    save: "Save",
    remove: "Delete",
    sure: "Delete this edit?",
    yes: "Delete",
    no: "Keep",
  },
  errors: {
    error: "Error",
    fault: "Something on this page went wrong",
    status: (status) => `The service answered ${status}.`,
    unreachable: {
      title: "The service cannot be reached",
      detail: "There was no answer. Check the connection and try again.",
    },
    noImage: "Choose a picture first.",
    imageFile: (name) => `${name} cannot be read as a picture. Use PNG, JPEG or WebP.`,
    emptyMask: (region) => `${region ? `Region ${region}` : "The mask"} is empty. Paint the area to change.`,
    maskFile: "This file cannot be read as a picture.",
    maskSize: (mask, picture) =>
      `This mask is ${mask.width} × ${mask.height}, the picture is ${picture.width} × ${picture.height}.`,
    maskDark: (highest) =>
      `This mask selects nothing: its brightest spot is ${highest} of 255, and 128 or more counts. Paint the area to change white.`,
    noNumber: "This is not a number.",
    noSource: "Describe the picture as it is.",
    noTarget: "Describe the picture after the edit.",
    noInstruction: "Write what to change.",
    tooLong: (tokens, most) => `Too long: ${tokens} of ${most} tokens`,
  },
  /** A warning {code, message} of the service in plain words. */
  warning: ({ code, message }) => WARNINGS[code] ?? message,
  /** A problem of the service in plain words. */
  problem: (code, said) => PROBLEMS[code]?.(said) ?? said,
};

const KINDS = {
  attribute: "colour, material or pattern",
  replacement: "one thing for another",
  addition: "something new",
  removal: "something is removed",
};
const RATIOS = { token: "token ratio", spatial: "spatial ratio" };
