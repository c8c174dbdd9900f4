"""Client of diffusiond.

    import diffusiond

    client = diffusiond.Client("127.0.0.1:50051")
    generation = client.generate(class_name="bag", seed=7, count=2, preview_every=5, steps=20)
    for preview in generation:
        print(preview.image_index, "after step", preview.steps_done)
    for image in generation.images:
        image.save(f"bag-{image.image_index}.png")
    print(generation.receipt.model_digest)
"""

from diffusiond.client import Client, Generation, Image, ImageDamaged, Preview

__all__ = ["Client", "Generation", "Image", "ImageDamaged", "Preview"]
