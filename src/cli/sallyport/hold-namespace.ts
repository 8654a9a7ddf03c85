/** The word by which `sallyport exec --netns` starts the holder of its namespace: no command for people. */
export const HOLD_NAMESPACE = 'hold-namespace';
