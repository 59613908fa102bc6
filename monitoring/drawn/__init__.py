"""What a picture of a dashboard is made of: `box` draws one panel of a `scene`, in the `looks` of all."""
