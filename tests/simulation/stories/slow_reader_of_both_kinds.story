# "the client sees previews in order": the x_t of step 1, which waited in front of the x0_hat of
# step 1, was replaced in its place by that of step 2; a client that read just then saw step 2 and
# then step 1, and its GenerateEventChecker ended the call (EventQueue).
world seed=1556 queue_share=1 frame_threads=3
model micro_batch=4 capacity=12 step=27.18137125ms
request steps=8 preview_every=1 preview=both encode=24.1753005ms read=75.8092385ms
