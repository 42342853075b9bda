/** What must happen to a request after a failure; decided where the failure is born. */
export type Fate = "retry" | "refuse" | "halt"
