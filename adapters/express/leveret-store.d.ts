import { Store } from 'express-session'

/** What the store needs of a connected client of `redis`. */
export interface CommandSender {
  sendCommand(words: string[]): Promise<unknown>
}

export interface LeveretStoreOptions {
  client: CommandSender
  /** Stands in front of ids; `sess:` if unset. */
  prefix?: string
  /** Life of sessions whose cookie has no maxAge, ms; a day if unset. */
  ttlMs?: number
}

/** Each property of a session is an attribute of its own: requests that change different ones keep both. */
export class LeveretStore extends Store {
  constructor(options: LeveretStoreOptions)
  get(sid: string, callback: (error: any, session?: any) => void): void
  set(sid: string, session: any, callback?: (error?: any) => void): void
  destroy(sid: string, callback?: (error?: any) => void): void
}
