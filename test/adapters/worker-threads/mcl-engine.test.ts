import { createMclEngine } from "../../../src/adapters/worker-threads/mcl-engine.ts"
import { engineLaws } from "../../threshold/engine.laws.ts"

engineLaws(createMclEngine, 60)
