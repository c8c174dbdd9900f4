# "previews in order": while the encoder was at the x_t of step 1, the x0_hat that waited behind it
# was replaced in its place by that of step 2, and so came before the x_t of step 2 (Outbox).
world seed=1 queue_share=1
model capacity=3 step=10ms
request steps=4 preview_every=1 preview=both encode=25ms
