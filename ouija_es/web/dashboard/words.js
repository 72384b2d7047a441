// Everything the page says, by language.

import { en } from "./en.js";
import { es } from "./es.js";

export const words = { es, en };

/** The first of the reader's languages that there is; Spanish if none is. */
export function preferred(languages) {
  return languages.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag in words) ?? "es";
}
