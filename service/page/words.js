// Words of prompts as magedit.prompts.words has them. What is new between two prompts is told word by word here; what
// they change, by their grammar, is the service's to read.

const LETTER = "[\\p{L}\\p{M}\\p{N}_]";
const EMOJI = "\\p{RI}\\p{RI}|\\p{Extended_Pictographic}(?:\\uFE0F|\\p{EMod}|\\u200D\\p{Extended_Pictographic})*";
const WORD = new RegExp(`${LETTER}+(?:['’‘ʼ＇\\-‐‑]${LETTER}+)*|${EMOJI}`, "gu");
const SAME = { "’": "'", "‘": "'", "ʼ": "'", "＇": "'", "‐": "-", "‑": "-", "\uFE0F": "" };
const TOKEN = new RegExp(`${LETTER}+|[^\\s\\p{L}\\p{M}\\p{N}_]`, "gu");

/** [start, end) of every whole word; hyphens and apostrophes inside a word belong to it, and an emoji is a word. */
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
  return nth ? found.slice(Number(nth) - 1, Number(nth)) : found;
}

/** What a person wrote into a words field: phrases between commas. */
export function phrases(text) {
  return text.split(",").map((each) => each.trim()).filter(Boolean);
}

function spans(text, pattern) {
  return [...text.matchAll(pattern)].map((match) => [match.index, match.index + match[0].length]);
}

/** What the spellings of a word have in common. */
function fold(word) {
  return word.replace(/[’‘ʼ＇‐‑]|\uFE0F/gu, (sign) => SAME[sign]).normalize("NFC").toLowerCase();
}

function texts(text, found) {
  return found.map(([start, end]) => fold(text.slice(start, end)));
}

/** Needleman-Wunsch as in magedit.prompts.alignment.align: match 1, mismatch -1, gap 0. For each of the target's the
 * place in the source, -1 where it is new. */
function align(source, target) {
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
