import { nobleEngine } from "../../src/threshold/noble-engine.ts"
import { engineLaws } from "./engine.laws.ts"

// The reference against itself: the laws that compare become laws of determinism, the vectors and refusals bind it to
// the documents.
engineLaws(async () => nobleEngine, 8)
