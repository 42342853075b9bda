/** The laws of the bus, kept inside one process. */
import { inProcessBus } from "../../src/adapters/embedded/in-process-bus.layer.ts"
import { busLaws } from "./bus.laws.ts"

busLaws("the in-process bus", () => Promise.resolve(inProcessBus))
