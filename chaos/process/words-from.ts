/** The command of a plan, with the `portcullis` of another build where one is named. */
import { CLI, programWords } from "../../tools/cluster/programs.ts"
import type { Build } from "../builds.ts"

export const wordsFrom = (build: Build | undefined, words: ReadonlyArray<string>): ReadonlyArray<string> =>
  programWords(words).map((word) => (build !== undefined && word === CLI ? build.cli : word))
