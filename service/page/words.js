// Words of prompts as magedit.prompts reads them. Tokens are taken to be whole words and single signs, which is exact
// for a word-level tokenizer and close for CLIP's; the service has the last word.

export const LETTER = "[\\p{L}\\p{N}_]";
const WORD = new RegExp(`${LETTER}+(?:['’-]${LETTER}+)*`, "gu");
const TOKEN = new RegExp(`${LETTER}+|[^\\s\\p{L}\\p{N}_]`, "gu");

/** [start, end) of every whole word; hyphens and apostrophes inside a word belong to it. */
export function wholeWords(prompt) {
  return spans(prompt, WORD);
}

/** Spans of the target's words that the source does not have, as the alignment of the two prompts finds them. */
export function newSpans(source, target) {
  const tokens = spans(target, TOKEN);
  const origin = align(texts(source, spans(source, TOKEN)), texts(target, tokens));
  return wholeWords(target).filter(([start, end]) =>
    tokens.some(([from, to], n) => origin[n] < 0 && from < end && start < to),
  );
}

/** The words that are new; a repeated one as `word[n]`. */
export function newWords(source, target) {
  const all = wholeWords(target);
  const lowered = texts(target, all);
  return newSpans(source, target).map((span) => {
    const k = all.findIndex(([start]) => start === span[0]);
    const alike = lowered.filter((word) => word === lowered[k]).length;
    const word = target.slice(...span);
    return alike > 1 ? `${word}[${lowered.slice(0, k + 1).filter((each) => each === lowered[k]).length}]` : word;
  });
}

/** Spans at which `spec` (a word, a phrase, `word[2]`) stands in the prompt; none if it does not. */
export function findWord(prompt, spec) {
  const [, phrase, nth] = /^(.*?)(?:\[([1-9]\d*)\])?$/s.exec(spec.trim());
  const wanted = texts(phrase, wholeWords(phrase));
  const all = wholeWords(prompt);
  const words = texts(prompt, all);
  const found = [];
  for (let i = 0; wanted.length && i + wanted.length <= words.length; i += 1) {
    if (wanted.every((word, k) => word === words[i + k])) found.push([all[i][0], all[i + wanted.length - 1][1]]);
  }
  return nth ? found.slice(nth - 1, nth) : found;
}

/** What a person wrote into a words field: phrases between commas. */
export function phrases(text) {
  return text.split(",").map((each) => each.trim()).filter(Boolean);
}

export function spans(text, pattern) {
  return [...text.matchAll(pattern)].map((match) => [match.index, match.index + match[0].length]);
}

export function texts(text, found) {
  return found.map(([start, end]) => text.slice(start, end).toLowerCase());
}

/** Needleman-Wunsch as in magedit.prompts.align: match 1, mismatch -1, gap 0. For each of the target's the
 * place in the source, -1 where it is new. */
export function align(source, target) {
  const width = target.length + 1;
  const score = new Int32Array((source.length + 1) * width);
  const at = (i, j) => score[i * width + j];
  for (let i = 1; i <= source.length; i += 1) {
    for (let j = 1; j <= target.length; j += 1) {
      const match = at(i - 1, j - 1) + (source[i - 1] === target[j - 1] ? 1 : -1);
      score[i * width + j] = Math.max(at(i, j - 1), at(i - 1, j), match);
    }
  }
  const origin = new Array(target.length).fill(-1);
  let [i, j] = [source.length, target.length];
  while (j > 0) {
    if (i === 0 || at(i, j) === at(i, j - 1)) j -= 1;
    else if (at(i, j) === at(i - 1, j)) i -= 1;
    else {
      i -= 1;
      j -= 1;
      origin[j] = i;
    }
  }
  return origin;
}
